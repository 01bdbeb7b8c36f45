"""Case 4: what networks do between a node and the centre."""


def test_packets_dropped(run):
    """No reset, no answer; afterwards the same connections go on, or new ones do."""
    run.start(proxy=True)
    for _ in run.moments(1, 0.2, 0.4):
        run.proxy.drop()
        run.lasts(run.seconds(60))
        run.proxy.restore()
    run.finish()


def test_half_open_connections(run):
    """The centre has forgotten the connection, the node still writes into it."""
    run.start(proxy=True)
    for _ in run.moments(1, 0.2, 0.4):
        run.proxy.half_open()
        run.lasts(run.seconds(60))
        run.proxy.restore()
    run.finish()


def test_flapping_every_second(run):
    run.start(proxy=True)
    for _ in range(run.seconds(15)):
        run.lasts(1)
        run.proxy.break_all()
    run.finish()


def test_latency_of_200_ms(run):
    run.start(proxy=True)
    run.proxy.latency_s = 0.2
    run.finish()


def test_connections_cut_in_the_middle_of_a_packet(run):
    run.start(proxy=True)
    for _ in run.moments(10):
        run.proxy.cut_after = run.random.randint(100, 40000)
        run.proxy.break_all()
    run.proxy.cut_after = None
    run.proxy.break_all()
    run.finish()
