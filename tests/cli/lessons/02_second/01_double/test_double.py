def test_three_becomes_six(built):
    assert built.twice(3) == 6, f"twice(3): got {built.twice(3)}, want 6"
