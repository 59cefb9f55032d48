"""The surface of a tuner as text: the lowest rate of each field, and where the flat region lies."""

from types import SimpleNamespace

from foresay.reports.surface import ACROSS, DOWN, as_text, draw_surface

SURFACE = SimpleNamespace(
    points=[(0.0, -3.0), (0.1, -2.9), (2.5, 3.0), (1.25, 0.4)], rates=[0.4, 0.3, 0.2, 0.1], flat=[False, False, False, True]
)


def test_fields_have_the_lowest_rate_of_their_points() -> None:
    *rows, axis = as_text(SURFACE)
    assert len(rows) == DOWN
    cells = {
        (row, column): line.partition("|")[2].ljust(8 * ACROSS)[8 * column : 8 * column + 8]
        for row, line in enumerate(rows)
        for column in range(ACROSS)
    }
    filled = {place: cell.split() for place, cell in cells.items() if cell.strip()}
    assert filled == {(0, 4): ["20.0"], (5, 0): ["30.0"], (2, 2): ["10.0*"]}
    assert axis.split() == ["b", "/", "a", "|", "0.25", "0.75", "1.25", "1.75", "2.25"]
    assert [line.split("|")[0].strip() for line in rows] == ["+2.5", "+1.5", "+0.5", "-0.5", "-1.5", "-2.5"]


def test_the_picture_is_a_file_of_its_own() -> None:
    svg = draw_surface(SURFACE, (1.25, 0.4), ("a", "b"), "words")
    assert svg.startswith("<?xml")
    assert all(said in svg for said in ("a (nats)", "b (nats)", "words", "error rate (%)"))
    assert svg == draw_surface(SURFACE, (1.25, 0.4), ("a", "b"), "words")
