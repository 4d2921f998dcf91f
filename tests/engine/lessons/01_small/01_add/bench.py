from tutor.worker.case import Case


def total(values):
    value = 0.0
    for x in values:
        value += x
    return value


CASES = {
    "many": Case(
        make=lambda rng: ([float(x) for x in rng.random(20000)],),
        learner=lambda built, values: built.total(values),
        baseline=total,
    )
}
