"""Checks of ct-layout: every offset against the compiler, then the values both ways."""

import ast
import ctypes
import struct
from pathlib import Path

import pytest

from tutor.core.finding import Finding
from tutor.worker.defects import Defects

WIRE = struct.Struct(">4sBQQHHIfhB")
ORDER = ["magic", "lens", "sequence", "stamp_us", "width", "height", "exposure_us", "gain", "temperature", "flags"]
CLASSES = {
    "cam_wire": "Wire",
    "cam_manual": "Manual",
    "cam_automatic": "Automatic",
    "cam_exposure": "Exposure",
    "cam_frame": "Frame",
}


class Row(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p),
        ("field", ctypes.c_char_p),
        ("offset", ctypes.c_size_t),
        ("size", ctypes.c_size_t),
    ]


@pytest.fixture
def camera(artifact):
    library = ctypes.CDLL(artifact.extra["camera"])
    library.cam_rows.argtypes = [ctypes.POINTER(ctypes.POINTER(Row))]
    library.cam_rows.restype = ctypes.c_size_t
    library.cam_decode.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    library.cam_decode.restype = ctypes.c_int
    library.cam_digest.argtypes = [ctypes.c_void_p]
    library.cam_digest.restype = ctypes.c_double
    return library


@pytest.fixture
def compiler(camera):
    """What the C compiler chose: {type: {field: (offset, size)}}; field "" is the whole type, (alignment, size)."""
    rows = ctypes.POINTER(Row)()
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for i in range(camera.cam_rows(ctypes.byref(rows))):
        row = rows[i]
        table.setdefault(row.type.decode(), {})[row.field.decode()] = (row.offset, row.size)
    return table


def line_of(artifact, name, field=""):
    """The line of a field (its name in quotes) in the class, else of `_pack_`, else of the class."""
    tree = ast.parse(Path(artifact.sources["layout.py"]).read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name]
    if not found:
        return None
    for node in ast.walk(found[-1]):
        if field == "_pack_" and isinstance(node, ast.Name) and node.id == "_pack_":
            return node.lineno
        if field and isinstance(node, ast.Constant) and node.value == field:
            return node.lineno
    return found[-1].lineno


def defect(artifact, code, message, name, field=""):
    raise Defects(Finding(code, message, file="layout.py", line=line_of(artifact, name, field)))


def blame(cls, type_name, field):
    """What moved a field, and the source text that did it ("" for the class line)."""
    pack = getattr(cls, "_pack_", 0)
    if type_name == "cam_wire" and not pack:
        return "; the sender packs its header, ctypes pads it unless told not to", ""
    if type_name != "cam_wire" and pack:
        return f"; `_pack_ = {pack}` takes padding away that the C compiler put in", "_pack_"
    return "", field


def wire(
    lens=7, sequence=0x0102030405060708, width=1920, height=1080, exposure_us=8333, gain=2.5, temperature=-4012, flags=0
):
    return WIRE.pack(
        b"CAM1", lens, sequence, 1_700_000_000_000_001, width, height, exposure_us, gain, temperature, flags
    )


@pytest.mark.parametrize("type_name", CLASSES)
def test_offsets_match_the_compiler(built, artifact, compiler, type_name):
    name = CLASSES[type_name]
    cls = getattr(built, name, None)
    if cls is None:
        raise Defects(Finding("layout", f"layout.py has no class {name} for {type_name}", file="layout.py"))
    for field, (offset, size) in compiler[type_name].items():
        if not field:
            continue
        mine = getattr(cls, field, None)
        if mine is None:
            defect(artifact, "layout", f"{name} has no field {field}; {type_name} has it at offset {offset}", name)
        if mine.size != size:
            defect(
                artifact, "layout", f"{name}.{field} is {mine.size} bytes, the C compiler made it {size}", name, field
            )
        if mine.offset != offset:
            why, where = blame(cls, type_name, field)
            message = f"{name}.{field} is at offset {mine.offset}, the C compiler put it at {offset}{why}"
            defect(artifact, "layout", message, name, where)
    alignment, size = compiler[type_name][""]
    if ctypes.sizeof(cls) != size:
        message = (
            f"sizeof({name}) is {ctypes.sizeof(cls)}, the C compiler says {size}: an array of them would drift apart"
        )
        defect(artifact, "layout", message, name, "_pack_")
    if ctypes.alignment(cls) != alignment:
        message = (
            f"{name} is aligned to {ctypes.alignment(cls)} bytes, the C compiler aligns {type_name} to {alignment}"
        )
        defect(artifact, "layout", message, name, "_pack_")


@pytest.mark.parametrize("field", ["sequence", "stamp_us", "width", "height", "exposure_us", "gain", "temperature"])
def test_wire_reads_big_endian(built, artifact, rng, field):
    values = {
        "lens": int(rng.integers(256)),
        "sequence": int(rng.integers(1 << 63)) << 1,
        "width": int(rng.integers(1, 1 << 16)),
        "height": int(rng.integers(1, 1 << 16)),
        "exposure_us": int(rng.integers(1, 1 << 32)),
        "gain": float(rng.integers(1, 1000)) / 8,
        "temperature": -int(rng.integers(257, 1 << 15)),
    }
    data = wire(**values)
    cls = built.Wire
    if not hasattr(cls, field):
        defect(artifact, "layout", f"Wire has no field {field}", "Wire")
    got = getattr(cls.from_buffer_copy(data + bytes(64)), field)
    want = WIRE.unpack(data)[ORDER.index(field)]
    if got == want:
        return
    if got == struct.unpack(WIRE.format.replace(">", "<"), data)[ORDER.index(field)]:
        message = f"Wire.{field}: got {got}, the sender wrote {want}: those are its bytes in the host's order"
        defect(artifact, "dtype", message, "Wire")
    if field == "temperature" and got == want + (1 << 16):
        defect(
            artifact,
            "dtype",
            f"Wire.temperature: got {got}, the sender wrote {want}: the field has a sign",
            "Wire",
            field,
        )
    defect(artifact, "dtype", f"Wire.{field}: got {got}, the sender wrote {want}", "Wire", field)


@pytest.mark.finds("dtype", at="class Wire")
def test_wire_writes_big_endian(built):
    header = built.Wire(b"CAM1", 7, 0x0102030405060708, 1_700_000_000_000_001, 1920, 1080, 8333, 2.5, -4012, 0)
    assert bytes(header) == wire(), (
        f"Wire(...) writes {bytes(header).hex(' ')}, the camera would send {wire().hex(' ')}"
    )


@pytest.mark.parametrize("flags", [0, 1], ids=["manual", "automatic"])
@pytest.mark.finds("layout", at="class Frame")
def test_frame_reads_what_c_wrote(built, camera, compiler, flags):
    size = compiler["cam_frame"][""][1]
    memory = bytearray(b"\xa5" * (size + 64))
    address = ctypes.addressof((ctypes.c_char * len(memory)).from_buffer(memory))
    assert camera.cam_decode(wire(flags=flags), address) == 0
    frame = built.Frame.from_buffer(memory)
    got = {
        "lens": frame.lens,
        "size": (frame.width, frame.height),
        "exposure_s": round(frame.exposure_s, 9),
        "temperature": frame.temperature,
        "intrinsics": list(frame.intrinsics),
        "name": frame.name,
        "sequence": frame.sequence,
        "pixels": bool(frame.pixels),
        "pixel_bytes": frame.pixel_bytes,
    }
    want = {
        "lens": 7,
        "size": (1920, 1080),
        "exposure_s": 0.008333,
        "temperature": -4012,
        "intrinsics": [1920, 0, 960, 0, 1920, 540, 0, 0, 1],
        "name": b"lens 7",
        "sequence": 0x0102030405060708,
        "pixels": False,
        "pixel_bytes": 1920 * 1080,
    }
    for key, value in want.items():
        assert got[key] == value, f"Frame.{key}: C wrote {value}, Python reads {got[key]}"
    exposure = frame.exposure
    if flags:
        assert (exposure.automatic.mode, exposure.automatic.target) == (3, 2.5 / 16), (
            "exposure.automatic: C wrote (3, 0.15625)"
        )
    else:
        assert (exposure.manual.gain, exposure.manual.iso) == (2.5, 250), "exposure.manual: C wrote (2.5, 250)"


@pytest.mark.finds("layout", at="class Frame")
def test_c_reads_what_python_wrote(built, camera, compiler):
    size = compiler["cam_frame"][""][1]
    theirs = bytearray(size)
    address = ctypes.addressof((ctypes.c_char * size).from_buffer(theirs))
    assert camera.cam_decode(wire(), address) == 0
    memory = bytearray(size + 64)
    mine = built.Frame.from_buffer(memory)
    mine.lens, mine.flags, mine.width, mine.height, mine.exposure_s = 7, 0, 1920, 1080, 8333 * 1e-6
    mine.exposure.manual.gain, mine.exposure.manual.iso = 2.5, 250
    mine.temperature, mine.name, mine.sequence, mine.pixel_bytes = -4012, b"lens 7", 0x0102030405060708, 1920 * 1080
    for i, value in enumerate([1920, 0, 960, 0, 1920, 540, 0, 0, 1]):
        mine.intrinsics[i] = value
    got, want = camera.cam_digest(ctypes.addressof(mine)), camera.cam_digest(address)
    assert got == want, f"C reads other values than Python wrote into Frame: digest {got}, want {want}"


@pytest.mark.finds("layout", at="class Exposure")
def test_union_members_share_their_bytes(built):
    exposure = built.Exposure()
    exposure.raw = 0x0000_00FA_4020_0000
    assert exposure.manual.gain == 2.5, f"the low four bytes are 2.5 as a float, manual.gain is {exposure.manual.gain}"
    assert exposure.manual.iso == 250, f"the next four bytes are 250, manual.iso is {exposure.manual.iso}"


@pytest.mark.finds("hidden-copy", at="def records")
def test_records_shares_memory_with_the_buffer(built):
    import numpy as np

    buffer = bytearray(b"".join(wire(sequence=i) for i in range(5)))
    view = built.records(buffer)
    assert view.shape == (5,), f"five headers give shape {view.shape}, want (5,)"
    assert list(view["sequence"]) == [0, 1, 2, 3, 4], f"sequence: got {list(view['sequence'])}, want 0 to 4"
    buffer[5 + 7] = 99
    assert view["sequence"][0] == 99, "the buffer changed and the view did not: records() copied"
    assert np.shares_memory(view, np.frombuffer(buffer, np.uint8)), "records() must be a view of the buffer"
    del view


def test_records_pins_its_buffer(built, artifact):
    buffer = bytearray(wire() * 2)
    view = built.records(buffer)
    try:
        buffer.clear()
    except BufferError:
        assert view.shape == (2,)
        return
    message = "bytearray.clear() succeeded while records() still shows its bytes: the view does not own a buffer export"
    raise Defects(Finding("lifetime", message, file="layout.py", line=line_of(artifact, "records")))


@pytest.mark.parametrize("kind", ["bytes", "memoryview", "offset"])
@pytest.mark.finds("layout", at="def records")
def test_records_takes_any_buffer(built, kind):
    data = wire(sequence=1) + wire(sequence=2)
    buffer = {"bytes": data, "memoryview": memoryview(bytearray(data)), "offset": memoryview(b"x" + data)[1:]}[kind]
    view = built.records(buffer)
    assert [int(s) for s in view["sequence"]] == [1, 2], f"{kind}: got {view['sequence']}, want [1, 2]"
    assert [int(t) for t in view["temperature"]] == [-4012, -4012], f"{kind}: got temperature {view['temperature']}"


@pytest.mark.finds("out-of-bounds", at="def records")
@pytest.mark.parametrize("missing", [1, 20, 35])
def test_half_a_header_is_refused(built, missing):
    try:
        got = built.records(wire() * 3 + wire()[:-missing])
    except ValueError:
        return
    raise AssertionError(f"3 headers and {36 - missing} bytes: got {got.shape[0]} records, want a ValueError")


@pytest.mark.finds("wrong-result", at="def dropped")
def test_dropped_counts_the_gaps(built, rng):
    steps = rng.integers(1, 5, size=200)
    start = int(rng.integers(1 << 40))
    sequence = [start + int(s) for s in steps.cumsum()]
    got = built.dropped(b"".join(wire(sequence=s) for s in sequence))
    want = sequence[-1] - sequence[0] - len(sequence) + 1
    assert got == want, f"dropped(): got {got}, want {want} missing frames"
    assert isinstance(got, int), f"dropped() returns {type(got).__name__}, want int"


@pytest.mark.finds("wrong-result", at="def dropped")
@pytest.mark.parametrize("count", [0, 1, 2])
def test_dropped_of_few_headers_is_zero(built, count):
    got = built.dropped(bytearray(b"".join(wire(sequence=9 + i) for i in range(count))))
    assert got == 0, f"{count} consecutive headers: got {got} dropped, want 0"
