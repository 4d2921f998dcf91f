/* camera: the header of a camera record, on the wire and in memory. Used by the exercise ct-layout. */
#ifndef CAMERA_H
#define CAMERA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* On the wire: 36 bytes, big-endian, no padding. The sender packs it, so must we. */
#pragma pack(push, 1)
typedef struct {
    char magic[4];        /* "CAM1" */
    uint8_t lens;         /* which of the cameras on the rig */
    uint64_t sequence;    /* counts up by one a frame; a gap is a dropped frame */
    uint64_t stamp_us;    /* exposure start, microseconds */
    uint16_t width;       /* pixels */
    uint16_t height;      /* pixels */
    uint32_t exposure_us; /* microseconds */
    float gain;           /* IEEE 754, big-endian too */
    int16_t temperature;  /* sensor, hundredths of a degree Celsius: it does get cold */
    uint8_t flags;        /* CAM_AUTO: the exposure was automatic */
} cam_wire;
#pragma pack(pop)

enum { CAM_AUTO = 1 };

typedef struct {
    float gain;
    uint32_t iso;
} cam_manual;

typedef struct {
    uint8_t mode;
    double target; /* mean luminance aimed at, 0 to 1 */
} cam_automatic;

/* Either way of exposing; which one is in `flags` of the frame. */
typedef union {
    cam_manual manual;
    cam_automatic automatic;
    uint64_t raw;
} cam_exposure;

/* In memory: the compiler's own layout, host byte order. */
typedef struct {
    uint8_t lens;
    uint8_t flags;
    uint32_t width;
    uint16_t height;
    double exposure_s;
    cam_exposure exposure;
    int32_t temperature; /* hundredths of a degree Celsius */
    float intrinsics[9]; /* row-major 3 x 3 */
    char name[13];       /* "lens 7", padded with NUL */
    uint64_t sequence;
    const uint8_t *pixels;
    size_t pixel_bytes;
} cam_frame;

/* What the compiler says: one row a field, one row with an empty `field` for each type as a whole (offset = alignment). */
typedef struct {
    const char *type;
    const char *field;
    size_t offset;
    size_t size;
} cam_row;

size_t cam_rows(const cam_row **rows);

/* Decode one wire header of 36 bytes. Returns 0, or -1 when the magic is wrong. `pixels` is set to NULL. */
int cam_decode(const uint8_t *wire, cam_frame *out);

/* A number that depends on every field of the frame; the reverse of cam_decode reads with it. */
double cam_digest(const cam_frame *frame);

#ifdef __cplusplus
}
#endif
#endif
