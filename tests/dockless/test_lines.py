from dockless._lines import BoundedLines


def test_lines_that_are_left_out_are_counted_unless_there_is_one():
    lines = BoundedLines()
    for n in range(21):
        lines.add("bad names", f"name {n}")
    assert lines.lines() == tuple(f"name {n}" for n in range(21))
    other = BoundedLines()
    for n in range(22):
        other.add("bad links", f"link {n}")
    lines.merge(other)
    assert lines.lines()[-2:] == ("name 20", "2 more bad links")
    other = BoundedLines()
    other.add("bad names", "name 21")
    lines.merge(other)
    assert lines.lines()[-2:] == ("2 more bad names", "2 more bad links")
    assert lines.count == 44
