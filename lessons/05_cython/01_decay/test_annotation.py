"""Checks of cy-decay: what the loop compiles to, read from Cython's annotated HTML."""

import html
import re

# calls that work on Python objects; bounds errors, zero division and the GIL are not among them
OBJECT_CALL = re.compile(
    r"\b(PyNumber_\w+|PyObject_\w+|PyFloat_FromDouble|PyLong_From\w+|PyTuple_\w+|PyList_\w+|PySequence_\w+|"
    r"__Pyx_PyObject_\w+|__Pyx_PyNumber_\w+|__Pyx_[GS]etItemInt\w*|__Pyx_PyLong_\w+|__Pyx_PyInt_\w+|"
    r"__Pyx_GetModuleGlobalName|__Pyx_PyFloat_\w+|__pyx_PyFloat_AsDouble|__Pyx_PyIndex_\w+)\s*\("
)
LOOP = re.compile(r"\s*(for\b(?!.*\bin\s*[(\[]).*|while\b.*):\s*(#.*)?$")


def annotate(source, folder):
    """Cython's C code of each source line: {line: code}, from the annotated HTML."""
    from Cython.Compiler import Main

    copy = folder / "decay.pyx"
    copy.write_text(source, encoding="utf-8")
    # naming a shared utility module keeps the helpers out of the C file, which is only read here
    Main.compile(
        str(copy),
        output_file=str(folder / "decay.c"),
        annotate="default",
        language_level=3,
        shared_utility_qualified_name="_cyutility",
    )
    page = (folder / "decay.html").read_text(encoding="utf-8")
    code = {}
    for block in page.split('<pre class="cython line')[1:]:
        number = re.search(r'<span class="">(\d+)</span>', block)
        body = re.search(r"<pre class='cython code[^>]*>(.*?)</pre>", block, re.DOTALL)
        if number and body:
            code[int(number[1])] = html.unescape(re.sub(r"<[^>]+>", "", body[1]))
    assert code, "Cython's annotated HTML holds no code: its format has changed, please report this"
    return code


def loop_lines(source):
    """Numbers of the lines inside for-range and while loops, without those that raise."""
    inside, found, raising = [], [], 0
    for number, text in enumerate(source.splitlines(), 1):
        bare = text.split("#")[0].strip()
        if not bare:
            continue
        indent = len(text) - len(text.lstrip())
        if raising > 0:
            raising += sum(map(bare.count, "([{")) - sum(map(bare.count, ")]}"))
            continue
        while inside and indent <= inside[-1]:
            inside.pop()
        if re.search(r"(^|:\s*)(raise|assert)\b", bare):
            raising = sum(map(bare.count, "([{")) - sum(map(bare.count, ")]}"))
            continue
        if inside:
            found.append(number)
        if LOOP.match(text):
            inside.append(indent)
    return found


def test_the_loop_stays_in_c(artifact, tmp_path):
    from pathlib import Path

    from tutor.core.finding import Finding
    from tutor.worker.defects import Defects

    source = Path(artifact.sources["decay.pyx"]).read_text(encoding="utf-8")
    code, lines, findings = annotate(source, tmp_path), source.splitlines(), []
    for number in loop_lines(source):
        calls = sorted(set(OBJECT_CALL.findall(code.get(number, ""))))
        if calls:
            message = f"this line of the loop works on Python objects ({', '.join(calls[:3])}): type what it uses"
            findings.append(Finding("slow", f"{message}. `{lines[number - 1].strip()}`", "decay.pyx", number))
    if findings:
        raise Defects(*findings[:4])
