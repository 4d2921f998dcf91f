/* camera: decodes wire headers and tells what layout the compiler chose. */
#include "camera.h"

#include <stdio.h>
#include <string.h>

#define FIELD(type, field) \
    { #type, #field, offsetof(type, field), sizeof(((type *)0)->field) }
#define WHOLE(type) \
    { #type, "", _Alignof(type), sizeof(type) }

static const cam_row ROWS[] = {
    WHOLE(cam_wire),
    FIELD(cam_wire, magic),
    FIELD(cam_wire, lens),
    FIELD(cam_wire, sequence),
    FIELD(cam_wire, stamp_us),
    FIELD(cam_wire, width),
    FIELD(cam_wire, height),
    FIELD(cam_wire, exposure_us),
    FIELD(cam_wire, gain),
    FIELD(cam_wire, temperature),
    FIELD(cam_wire, flags),
    WHOLE(cam_manual),
    FIELD(cam_manual, gain),
    FIELD(cam_manual, iso),
    WHOLE(cam_automatic),
    FIELD(cam_automatic, mode),
    FIELD(cam_automatic, target),
    WHOLE(cam_exposure),
    FIELD(cam_exposure, manual),
    FIELD(cam_exposure, automatic),
    FIELD(cam_exposure, raw),
    WHOLE(cam_frame),
    FIELD(cam_frame, lens),
    FIELD(cam_frame, flags),
    FIELD(cam_frame, width),
    FIELD(cam_frame, height),
    FIELD(cam_frame, exposure_s),
    FIELD(cam_frame, exposure),
    FIELD(cam_frame, temperature),
    FIELD(cam_frame, intrinsics),
    FIELD(cam_frame, name),
    FIELD(cam_frame, sequence),
    FIELD(cam_frame, pixels),
    FIELD(cam_frame, pixel_bytes),
};

size_t cam_rows(const cam_row **rows) {
    *rows = ROWS;
    return sizeof ROWS / sizeof ROWS[0];
}

/* Byte by byte: right on every host, whatever its byte order and alignment rules. */
static uint64_t big(const uint8_t *p, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) value = value << 8 | p[i];
    return value;
}

int cam_decode(const uint8_t *wire, cam_frame *out) {
    if (memcmp(wire, "CAM1", 4) != 0) return -1;
    memset(out, 0, sizeof *out);
    out->lens = wire[offsetof(cam_wire, lens)];
    out->sequence = big(wire + offsetof(cam_wire, sequence), 8);
    out->width = (uint32_t)big(wire + offsetof(cam_wire, width), 2);
    out->height = (uint16_t)big(wire + offsetof(cam_wire, height), 2);
    out->exposure_s = (double)big(wire + offsetof(cam_wire, exposure_us), 4) * 1e-6;
    out->temperature = (int16_t)big(wire + offsetof(cam_wire, temperature), 2);
    out->flags = wire[offsetof(cam_wire, flags)];
    uint32_t bits = (uint32_t)big(wire + offsetof(cam_wire, gain), 4);
    float gain;
    memcpy(&gain, &bits, sizeof gain);
    if (out->flags & CAM_AUTO) {
        out->exposure.automatic.mode = 3;
        out->exposure.automatic.target = gain / 16.0;
    } else {
        out->exposure.manual.gain = gain;
        out->exposure.manual.iso = (uint32_t)(gain * 100.0f);
    }
    out->intrinsics[0] = out->intrinsics[4] = (float)out->width;
    out->intrinsics[2] = (float)out->width / 2;
    out->intrinsics[5] = (float)out->height / 2;
    out->intrinsics[8] = 1.0f;
    snprintf(out->name, sizeof out->name, "lens %u", (unsigned)out->lens);
    out->pixel_bytes = (size_t)out->width * out->height;
    return 0;
}

double cam_digest(const cam_frame *frame) {
    double sum = frame->lens + 2.0 * frame->flags + 3.0 * frame->width + 5.0 * frame->height + 7.0 * frame->exposure_s +
                 11.0 * frame->temperature + 13.0 * (double)frame->sequence + 17.0 * (double)frame->pixel_bytes;
    for (int i = 0; i < 9; i++) sum += (19.0 + i) * frame->intrinsics[i];
    for (size_t i = 0; i < sizeof frame->name && frame->name[i]; i++) sum += (29.0 + (double)i) * frame->name[i];
    if (frame->flags & CAM_AUTO)
        return sum + 31.0 * frame->exposure.automatic.mode + 37.0 * frame->exposure.automatic.target;
    return sum + 41.0 * frame->exposure.manual.gain + 43.0 * frame->exposure.manual.iso;
}
