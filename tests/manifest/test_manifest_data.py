"""Data files: rows as written, and every mistake with the data file's own line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.errors import InputError, Problem
from qwenbuild.manifest import read_data


def rows(tmp_path: Path, name: str, data: str | bytes) -> list[dict[str, Any]]:
    found, warnings = read(tmp_path, name, data)
    assert bool(warnings) is not bool(found)
    return found


def read(tmp_path: Path, name: str, data: str | bytes) -> tuple[list[dict[str, Any]], tuple[Problem, ...]]:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_data(path, f"data/{name}")


def fault(tmp_path: Path, name: str, data: str | bytes) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        read(tmp_path, name, data)
    problem = caught.value.problems[0]
    assert problem.mark
    assert problem.mark.file == f"data/{name}"
    return problem.code, f"{problem.mark.line}:{problem.mark.column}"


RED = [{"id": "red", "name": "crimson"}]


@pytest.mark.parametrize(
    "text",
    [
        "id,name\nred,crimson\n",
        "id;name\nred;crimson",
        "id\tname\r\nred\tcrimson\r\n",
        "\n\nid,name\n\nred,crimson\n\n",
        '"id","name"\n"red","crimson"\n',
        "\ufeffid,name\nred,crimson\n",
        " id , name\nred,crimson",
        "id,name\rred,crimson\r",
    ],
)
def test_csv_in_its_usual_forms(text: str, tmp_path: Path) -> None:
    assert rows(tmp_path, "a.csv", text) == RED


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b;c\n1,2\n", ["a", "b;c"]),
        ("a;b,c;d\n1;2;3", ["a", "b,c", "d"]),
        ("a\tb;c\n1\t2", None),
        ("a;b\tc\n1;2", ["a", "b\tc"]),
        ('"a,b,c";d\n1;2', ["a,b,c", "d"]),
        ("a\n1\n", ["a"]),
    ],
)
def test_the_separator_is_what_the_header_holds_most_of(text: str, columns: list[str] | None, tmp_path: Path) -> None:
    if columns is None:
        assert fault(tmp_path, "a.csv", text) == ("ragged-row", "2:1")
    else:
        assert list(rows(tmp_path, "a.csv", text)[0]) == columns


def test_csv_cells_are_text_as_written(tmp_path: Path) -> None:
    text = 'id,n,flag,note\n017,1.10,no," two\n lines, ""quoted"" "\nb,,,\u2028x\n'
    assert rows(tmp_path, "a.csv", text) == [
        {"id": "017", "n": "1.10", "flag": "no", "note": ' two\n lines, "quoted" '},
        {"id": "b", "n": "", "flag": "", "note": "\u2028x"},
    ]


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("id,name,id\n1,2,3\n", "column", "1:1"),
        ("\nid,,name\n1,2,3\n", "column", "2:1"),
        ("id, id\n", "column", "1:1"),
        ("id,name\nred\n", "ragged-row", "2:1"),
        ('id,name\n"a\nb",x\nred,a,b\n', "ragged-row", "4:1"),
        ("id,name\n,,x\n", "ragged-row", "2:1"),
        ("id,name,\nred,,\nblue\n", "ragged-row", "3:1"),
        ("id,,\nred,,\nblue,,7\n", "column", "1:1"),
        ("sep=;\nid;id\n", "column", "2:1"),
        ("sep=|\nid|name\n", "csv", "1:5"),
        ('id,name\na,"red\nb,"blue"\n', "csv", "2:3"),
        ('id,name\na,b\nc,"d ""e"" \n\n', "csv", "3:3"),
        ('id,name\n"a\nb","c\n', "csv", "3:4"),
        ('id\nx\n"a"b\n', "csv", "3:1"),
        ('id\nx\n"never closed\n', "csv", "3:1"),
        ("id\n\x00\n", "control-character", "2:1"),
        ("id\n" + "x" * 200_000, "csv", "2:1"),
    ],
)
def test_a_csv_mistake_has_its_line(text: str, code: str, place: str, tmp_path: Path) -> None:
    assert fault(tmp_path, "a.csv", text) == (code, place)


PADDED = {
    "empty rows": ("a.csv", "id,name\nred,crimson\n,\n,\n", "2 empty rows (lines 3, 4)", 3),
    "empty rows with blanks": ("a.csv", "id,name\n , \nred,crimson\n", "1 empty row (line 2)", 2),
    "empty rows of another width": ("a.csv", 'id,name\n,,,\nred,crimson\n""\n', "2 empty rows (lines 2, 4)", 2),
    "rows above the header": ("a.csv", ",,\n,,\nid,name,\nred,crimson,\n", "2 empty rows (lines 1, 2) and 1 empty column", 1),
    "columns": ("a.csv", "id,name,,\nred,crimson,,\n", "2 empty columns without a name (columns 3, 4)", 1),
    "columns before": ("a.csv", ",id,,name\n,red,,crimson\n", "2 empty columns without a name (columns 1, 3)", 1),
    "columns that Excel ends early": ("a.csv", "id,name,,\nred,crimson\n", "2 empty columns without a name (columns 3, 4)", 1),
    "columns that begin below": ("a.csv", "id,name\nred,crimson,,\n", "2 empty columns without a name (columns 3, 4)", 1),
    "semicolons": ("a.csv", "sep=;\nid;name;\n;;\nred;crimson;\n", "1 empty row (line 3) and 1 empty column", 2),
    "many": ("a.csv", "id,name\n" + ",\n" * 3000 + "red,crimson\n", "3,000 empty rows (the first in line 2)", 2),
    "json": (
        "a.json",
        '[{"id": "red", "name": "crimson"},\n {"id": null, "name": ""},\n {}]',
        "2 empty rows (lines 2, 3)",
        2,
    ),
    "json columns": ("a.json", '[\n{"id": "red", "": null, "name": "crimson"}]', "1 empty column without a name (column 2)", 2),
    "json lines": ("a.jsonl", '{"id": " "}\n\n{"id": "red", "name": "crimson"}\n{}\n', "2 empty rows (lines 1, 4)", 1),
    "yaml": ("a.yaml", "- {id: red, name: crimson}\n- id:\n  name: ''\n- {}\n", "2 empty rows (lines 2, 4)", 2),
}


@pytest.mark.parametrize("case", PADDED)
def test_what_a_spreadsheet_padded_a_table_with_is_left_out_with_one_warning(case: str, tmp_path: Path) -> None:
    name, text, words, line = PADDED[case]
    found, warnings = read(tmp_path, name, text)
    assert found == RED
    (warning,) = warnings
    assert warning.code == "padding"
    assert words in warning.message
    assert warning.mark
    assert (warning.mark.file, warning.mark.line) == (f"data/{name}", line)


@pytest.mark.parametrize(
    ("name", "text"), [("a.csv", ",,\n,,\n"), ("a.csv", "id,,\n,,\n"), ("a.json", "[{}]"), ("a.yaml", "- {}")]
)
def test_a_file_of_padding_alone_gives_no_entries(name: str, text: str, tmp_path: Path) -> None:
    found, warnings = read(tmp_path, name, text)
    assert found == []
    assert [warning.code for warning in warnings] == ["padding", "empty-data"]


@pytest.mark.parametrize("value", ["0", "-", "x"])
def test_a_row_with_one_value_is_no_padding(value: str, tmp_path: Path) -> None:
    assert rows(tmp_path, "a.csv", f"id,name\n,{value}\n") == [{"id": "", "name": value}]
    assert rows(tmp_path, "a.json", '[{"id": false}, {"n": 0}, {"list": []}]') == [{"id": False}, {"n": 0}, {"list": []}]


@pytest.mark.parametrize("sep", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_the_line_by_which_excel_names_the_separator_is_read(sep: str, tmp_path: Path) -> None:
    assert rows(tmp_path, "a.csv", f"{sep}\r\nid;name,a,b\r\nred;crimson\r\n") == [{"id": "red", "name,a,b": "crimson"}]
    assert rows(tmp_path, "a.csv", "sep=\t\nid\tname\nred\tcrimson\n") == RED


def test_latin_1_is_no_utf_8(tmp_path: Path) -> None:
    assert fault(tmp_path, "a.csv", b"id\nr\xf6t\n") == ("encoding", "2:2")
    assert fault(tmp_path, "a.csv", "id\nx\n".encode("utf-16")) == ("encoding", "1:1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", ""),
        ("a.csv", "\n\n"),
        ("a.csv", "id,name\n"),
        ("a.json", ""),
        ("a.json", " [] "),
        ("a.jsonl", "\n"),
        ("a.yaml", ""),
        ("a.yaml", "# none yet\n"),
        ("a.yaml", "[]"),
        ("a.yaml", "\ufeff"),
    ],
)
def test_an_empty_file_gives_no_entries_and_a_warning(name: str, text: str, tmp_path: Path) -> None:
    found, warnings = read(tmp_path, name, text)
    assert found == []
    assert [warning.code for warning in warnings] == ["empty-data"]
    assert str(warnings[0].mark) == f"data/{name}:1:1"


VALUES = [{"id": "a", "n": 3, "f": 1.5, "t": True, "none": None, "list": [1], "map": {"k": "v"}, "text": '剣 😀 \n\t"\\'}]


def test_json_json_lines_and_yaml_keep_types(tmp_path: Path) -> None:
    assert rows(tmp_path, "a.json", json.dumps(VALUES, indent=1)) == VALUES
    assert rows(tmp_path, "a.json", "\ufeff" + json.dumps(VALUES, ensure_ascii=False)) == VALUES
    assert rows(tmp_path, "a.jsonl", json.dumps(VALUES[0]) + "\r\n\n" + json.dumps(VALUES[0], ensure_ascii=False)) == VALUES * 2
    assert rows(tmp_path, "a.yaml", json.dumps(VALUES, ensure_ascii=False)) == VALUES
    assert rows(tmp_path, "A.YAML", "- id: 017\n  when: 12:30\n  x-note: kept\n- &a {id: b}\n- {<<: *a, n: 1}\n") == [
        {"id": "017", "when": "12:30", "x-note": "kept"},
        {"id": "b"},
        {"id": "b", "n": 1},
    ]


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ('[{"id": "a"},\n {"id": }]', "json-syntax", "2:9"),
        ('[{"id": "a"}', "json-syntax", "1:13"),
        ('{"id": "a"}', "data-shape", "1:1"),
        ("null", "data-shape", "1:1"),
        ('[{"id": "a"},\n "b"]', "row", "2:2"),
        ('[{"x": [1, 2]}, [],\n 3]', "row", "1:17"),
        ('[{"id": 1,\n  "id": 2}]', "duplicate-key", "2:3"),
        ('[{"a": NaN}]', "json-number", "1:8"),
        ('[{"a": -Infinity}]', "json-number", "1:8"),
        ('[{"a": ' + "9" * 5000 + "}]", "json-number", "1:8"),
        ("[" * 100_000, "json-depth", "1:41"),
        ('[{"a": ' + "[" * 45 + "]" * 45 + "}]", "json-depth", "1:46"),
        ('[{"a": "\\ud800"}]', "json-surrogate", "1:8"),
        ('[{"a": "' + "x" * 100_000 + '"}, 1]', "row", "1:100013"),
        ('[{"a": "tab\there"}]', "json-syntax", "1:12"),
        ('[{"a": 1}] trailing', "json-syntax", "1:12"),
    ],
)
def test_a_json_mistake_has_its_line_and_column(text: str, code: str, place: str, tmp_path: Path) -> None:
    assert fault(tmp_path, "a.json", text) == (code, place)


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ('{"id": "a"}\n\n{"id": }\n', "json-syntax", "3:8"),
        ('{"id": "a"}\n  ["b"]\n', "row", "2:3"),
        ('{"id": "a"}\n{"id": 1, "id": 2}', "duplicate-key", "2:11"),
        ('{"id": "a"} {"id": "b"}', "json-syntax", "1:13"),
        ('{"a": 1}\n{"a": ' + "[" * 45 + "]" * 45 + "}", "json-depth", "2:46"),
        ('{"a": "\\udfff"}', "json-surrogate", "1:7"),
    ],
)
def test_a_json_lines_mistake_has_its_line_and_column(text: str, code: str, place: str, tmp_path: Path) -> None:
    assert fault(tmp_path, "a.jsonl", text) == (code, place)


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("- id: a\n- b\n", "row", "2:3"),
        ("id: a\n", "data-shape", "1:1"),
        ("- id: a\n  id: b\n", "duplicate-key", "2:3"),
        ("- id: !!python/name:os.system x\n", "yaml-tag", "1:7"),
        ("- {id: a}\n- [", "yaml-syntax", "2:4"),
        ("&a\n- &b {id: x}\n- 3\n", "row", "3:3"),
        ("--- [{a: 1}]\n--- [{a: 2}]\n", "yaml-documents", "2:1"),
        (
            "- a: &a [" + "x," * 300 + "]\n" + "".join(f"- {{b: &b{n} [" + "*a," * 300 + "]}\n" for n in range(40)),
            "yaml-nodes",
            "7:",
        ),
        ("!!python/object/apply:os.system [id]\n", "yaml-tag", "1:1"),
    ],
)
def test_a_yaml_mistake_has_its_line_and_column(text: str, code: str, place: str, tmp_path: Path) -> None:
    found = fault(tmp_path, "a.yaml", text)
    assert found[0] == code
    assert found[1].startswith(place) or code == "yaml-nodes"


def test_a_long_file_of_plain_rows_is_no_bomb(tmp_path: Path) -> None:
    assert len(rows(tmp_path, "a.yaml", "- {id: a, name: b, note: c}\n" * 40_000)) == 40_000


def test_another_extension_is_refused(tmp_path: Path) -> None:
    assert fault(tmp_path, "a.xlsx", "x") == ("data-type", "1:1")


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data/no\.csv:1:1: there is no such file"):
        read_data(tmp_path / "no.csv", "data/no.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="not a file"):
        read_data(tmp_path / "folder.csv", "folder.csv")


def test_a_file_over_512_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    with path.open("wb") as file:
        file.truncate(512_000_001)
    with pytest.raises(InputError, match="larger than 512 MB"):
        read_data(path, "big.csv")
