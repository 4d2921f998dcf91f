"""The pure parts: how text is cleaned and set, bars and tables, editor commands, terminal facts."""

from pathlib import Path
from types import SimpleNamespace

import fake_session as fakes
import pytest

from tutor.core.errors import EnvironmentMissing
from tutor.core.finding import Finding
from tutor.core.verdict import BenchResult
from tutor.ui import editor, terminal, typeset
from tutor.ui.caret import column_of
from tutor.ui.glyphs import ASCII, UNICODE
from tutor.ui.widgets import checks, references, sidebyside, speed
from tutor.ui.widgets.listing import highlight


def test_cleaning_removes_what_moves_a_cursor_and_keeps_text():
    assert typeset.clean("a\x1b[31mb\x1b[0m\x07\x1b]0;t\x07c\td\r\ne\ud800") == "abc     d\ne\ufffd"


@pytest.mark.parametrize(
    ("value", "text"),
    [(4.1e-7, "410 ns"), (3.12e-5, "31.2 µs"), (0.0041, "4.10 ms"), (0.31, "0.31 s"), (12.43, "12.4 s"), (0, "0 s")],
)
def test_times_take_three_digits(value, text):
    assert typeset.seconds(value) == text


def test_wrapping_keeps_indentation_and_never_exceeds_the_width():
    lines = typeset.wrap("one two three four\n    deep text goes on\n\nend " + "x" * 40, 20, indent=2)
    assert all(len(line) <= 20 and line.startswith("  ") for line in lines if line.strip())
    assert lines[1] == "      deep text goes"


@pytest.mark.parametrize("width", [8, 20, 60, 200])
@pytest.mark.parametrize("value", [0.01, 0.9, 1.0, 3.4, 500.0])
def test_a_bar_has_the_width_it_is_given_and_marks_the_target(width, value):
    bench = BenchResult("c", "b", value, value * 0.9, value * 1.1, 1.5, value > 1.5, 3.0)
    drawn = speed.bar(bench, width, UNICODE).plain
    assert len(drawn) == width
    assert UNICODE.mark in drawn or UNICODE.gold in drawn
    assert len(speed.scale(bench, width, UNICODE)) <= width


def test_inconclusive_and_missed_are_said_in_words():
    noisy = BenchResult("c", "b", 1.5, 1.0, 2.0, 1.5, None)
    assert "noisy" in speed.standing(noisy, UNICODE)[2]
    missed = BenchResult("c", "b", 1.0, 0.9, 1.1, 1.5, False)
    assert speed.standing(missed, ASCII) == ("x", "bold $error", "below the target")


def test_columns_come_from_the_tools_own_output():
    assert column_of(fakes.RAW, Finding("build", "", "collate.c", 7)) == 34
    assert column_of(" --> src/lib.rs:12:9", Finding("build", "", "src/lib.rs", 12)) == 9
    assert column_of("", Finding("build", "", "collate.c", 7)) is None


def test_amounts_carry_their_sign():
    assert [references.amount(v) for v in (0, 1, -1, 0.5, None)] == ["0", "+1", "-1", "+0.50", "0"]


def test_findings_alike_are_one_entry():
    one, two = Finding("wrong-result", "a", "f.c", 3), Finding("wrong-result", "b", "f.c", 3)
    assert references.grouped((one, fakes.LEAK, two)) == [[one, two], [fakes.LEAK]]


def test_the_case_of_a_check_keeps_its_name():
    assert checks.name("test_offsets_match[cam_wire]") == "offsets match[cam_wire]"
    assert checks.name("offsets match [cam_wire]") == "offsets match [cam_wire]"


def test_a_comparison_folds_what_is_equal_and_pairs_what_differs():
    left = b"".join(b"line %d\n" % i for i in range(100))
    rows = sidebyside.compare({"a.c": left}, {"a.c": left.replace(b"line 50\n", b"line fifty\nmore\n")})
    assert [row.heading for row in rows if row.heading] == ["46 equal lines", "45 equal lines"]
    assert [(row.left, row.right) for row in rows if row.changed] == [(51, 51), (0, 52)]


def test_a_missing_side_and_odd_bytes_are_compared_too():
    rows = sidebyside.compare({}, {"a.c": b"\xff\xfe\n\x00x\n"})
    assert [(row.left, row.right) for row in rows] == [(0, 1), (0, 2)]


@pytest.mark.parametrize("name", ["a.c", "a.cpp", "a.cu", "a.pyx", "a.rs", "a.py", "a.unknown", ""])
def test_highlighting_keeps_every_line(name):
    source = 'int a;\n\n/* two\nlines */ x = "s";\n  last'
    lines = ["".join(segment.text for segment in line) for line in highlight(source, name)]
    assert lines == source.splitlines()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vim", ["+7", "/w/a.c"]),
        ("nano", ["+7", "/w/a.c"]),
        ("code", ["--goto", "/w/a.c:7"]),
        ("hx", ["/w/a.c:7"]),
    ],
)
def test_editors_are_told_the_line_in_their_own_way(tmp_path, name, words):
    program = tmp_path / name
    program.touch(0o755)
    start = editor.launch({"EDITOR": str(program)}, Path("/w/a.c"), 7, (80, 24))
    assert start.argv == (str(program), *words)
    assert start.where == ("beside" if name == "code" else "here")


def test_visual_goes_before_editor_and_keeps_its_words(tmp_path):
    program = tmp_path / "emacs"
    program.touch(0o755)
    environ = {"VISUAL": f"{program} -nw", "EDITOR": "nothing"}
    assert editor.launch(environ, Path("/w/a.c"), None, (80, 24)).argv == (str(program), "-nw", "/w/a.c")


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH of programs that are there and do nothing."""

    def make(*names):
        for name in names:
            (tmp_path / name).touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


def place(environ, size=(80, 24), command=""):
    return editor.launch(environ, Path("/w/my files/a.c"), 7, size, command)


def test_in_tmux_and_zellij_there_is_a_split_where_both_halves_stay_usable(programs):
    programs("vim", "tmux", "zellij")
    tmux, zellij = {"EDITOR": "vim", "TMUX": "/tmp/x,1,0"}, {"EDITOR": "vim", "ZELLIJ": "0"}
    said = "vim +7 '/w/my files/a.c'"
    assert place(tmux).argv == ("tmux", "new-window", "-c", "/w/my files", said)
    assert place(tmux, (80, 40)).argv[1:3] == ("split-window", "-v")
    assert place(tmux, (120, 24)).argv[1:3] == ("split-window", "-h")
    words = ("--close-on-exit", "--cwd", "/w/my files", "--", "vim", "+7", "/w/my files/a.c")
    assert place(zellij).argv == ("zellij", "run", "--in-place", *words)
    assert place(zellij, (80, 40)).argv == ("zellij", "run", "--direction", "down", *words)
    assert place(zellij, (140, 40)).argv[2:4] == ("--direction", "right")
    assert {place(tmux).where, place(zellij).where} == {"beside"}


@pytest.mark.parametrize(
    ("ancestors", "program"),
    [
        (("bash", "zellij", "bash", "tmux: server"), "zellij"),
        (("zsh", "tmux: server", "systemd"), "tmux"),
        (("bash", "sshd", "systemd"), "vim"),
    ],
)
def test_of_tmux_and_zellij_within_each_other_the_inner_one_is_split(programs, monkeypatch, ancestors, program):
    programs("vim", "tmux", "zellij")
    parents = [SimpleNamespace(name=lambda name=name: name) for name in ancestors]
    monkeypatch.setattr("psutil.Process", lambda: SimpleNamespace(parents=lambda: parents))
    assert place({"EDITOR": "vim", "TMUX": "/tmp/x,1,0", "ZELLIJ": "0"}).argv[0] == program


def test_in_the_terminal_of_vs_code_that_is_the_editor(programs):
    programs("vim", "code")
    assert place({"TERM_PROGRAM": "vscode"}).argv == ("code", "--goto", "/w/my files/a.c:7")
    assert place({"TERM_PROGRAM": "vscode", "EDITOR": "vim"}).argv[0] == "vim"


def test_an_editor_with_a_window_is_not_waited_for(programs):
    """`code --wait` is what git wants; here it would last until the file is closed."""
    programs("code", "subl", "gvim", "emacsclient")
    assert place({"EDITOR": "code --wait"}).argv == ("code", "--goto", "/w/my files/a.c:7")
    assert place({"EDITOR": "subl -n -w"}).argv == ("subl", "-n", "/w/my files/a.c:7")
    assert place({"EDITOR": "gvim -f"}).argv == ("gvim", "+7", "/w/my files/a.c")
    window = place({"EDITOR": "vim", "DISPLAY": ":0"}, command="emacsclient -c {file}")
    assert window.where == "beside"


def test_the_kin_of_vs_code_are_told_apart_in_their_terminals(programs, tmp_path):
    programs("vim", "code", "code-insiders", "cursor")
    insiders = {"TERM_PROGRAM": "vscode", "TERM_PROGRAM_VERSION": "1.99.0-insider"}
    assert place(insiders).argv[0] == "code-insiders"
    assert place({"TERM_PROGRAM": "vscode", "CURSOR_TRACE_ID": "0"}).argv[0] == "cursor"
    # In tmux in such a terminal: while the window that it was started from is there.
    hook = tmp_path / "vscode-ipc.sock"
    tmux = {"TERM_PROGRAM": "tmux", "VSCODE_IPC_HOOK_CLI": str(hook)}
    assert place(tmux).argv[0] == "vim"
    hook.touch()
    assert place(tmux).argv[0] == "code"


@pytest.mark.parametrize(
    ("command", "argv", "where"),
    [
        (
            "nvim --server /tmp/s --remote {file}",
            ("nvim", "--server", "/tmp/s", "--remote", "/w/my files/a.c"),
            "beside",
        ),
        ("tool open {file} --line={line}", ("tool", "open", "/w/my files/a.c", "--line=7"), "beside"),
        ("vim '+call cursor({line}, 1)' {file}", ("vim", "+call cursor(7, 1)", "/w/my files/a.c"), "here"),
        ("vim", ("vim", "+7", "/w/my files/a.c"), "here"),
        ("nvim -c {line} {file}", ("nvim", "-c", "7", "/w/my files/a.c"), "here"),
        ("nvim --remote-silent {file}", ("nvim", "--remote-silent", "/w/my files/a.c"), "beside"),
        ("emacsclient -n {file}", ("emacsclient", "-n", "/w/my files/a.c"), "beside"),
        ("emacsclient -t {file}", ("emacsclient", "-t", "/w/my files/a.c"), "here"),
        ("emacsclient -c {file}", ("emacsclient", "-c", "/w/my files/a.c"), "here"),
    ],
)
def test_edit_cmd_goes_before_all_and_names_file_and_line(programs, command, argv, where):
    programs("vim", "nvim", "tool", "emacsclient")
    start = place({"EDITOR": "nothing"}, command=command)
    assert (start.argv, start.where) == (argv, where)


@pytest.mark.parametrize("command", ["vim 'half", "no-such-tool {file}"])
def test_an_edit_cmd_that_cannot_be_used_says_so(programs, command):
    programs("vim")
    with pytest.raises(EnvironmentMissing, match=r"no-such-tool|quotation"):
        place({}, command=command)


def test_an_editor_that_is_not_there_is_an_environment_error():
    with pytest.raises(EnvironmentMissing, match="no-such-editor"):
        editor.launch({"EDITOR": "no-such-editor"}, Path("/w/a.c"), 1, (80, 24))


@pytest.mark.parametrize(
    ("environ", "encoding", "expected"),
    [
        ({"LANG": "en_US.UTF-8"}, "utf-8", True),
        ({"LANG": "C"}, "utf-8", False),
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, "utf-8", False),
        ({"LANG": "de_DE.ISO-8859-1"}, "iso-8859-1", False),
        ({}, "nonsense", False),
    ],
)
def test_utf8_is_used_only_where_it_is_spoken(environ, encoding, expected):
    assert terminal.speaks_utf8(environ, encoding) is expected


def test_every_sign_is_one_cell_and_the_plain_ones_are_ascii():
    for name in UNICODE.__struct_fields__:
        if name != "spark":
            assert len(getattr(UNICODE, name)) == len(getattr(ASCII, name)) == 1
        assert getattr(ASCII, name).isascii()


def test_nothing_moves_over_ssh():
    assert terminal.animation_level({"SSH_CONNECTION": "1 2 3 4"}) == "none"
    assert terminal.animation_level({}) == "basic"


def test_the_reset_leaves_the_alternate_screen_shows_the_cursor_and_frees_the_mouse():
    sequence = terminal.reset_sequence()
    for part in ("\x1b[?1049l", "\x1b[?25h", "\x1b[?1000l", "\x1b[?1003l", "\x1b[?1006l", "\x1b[?2004l"):
        assert part in sequence
