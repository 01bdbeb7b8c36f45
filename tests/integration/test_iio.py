"""IIO devices, as folders of the shape that the kernel gives them."""

import os
import shutil

from harness import Ledger, eventually


def device(folder, name, milli_degrees):
    folder.mkdir()
    (folder / "name").write_text(f"{name}\n")
    (folder / "in_temp_input").write_text(f"{milli_degrees}\n")
    return folder


def stuck_device(folder):
    """One whose driver waits for ever: opening a FIFO that nobody writes does so."""
    folder.mkdir()
    (folder / "name").write_text("stuck\n")
    os.mkfifo(folder / "in_temp_input")
    return folder


def values(sampler, name):
    readings = Ledger(sampler.ledger_path).readings.values()
    return [values["temperature"] for sensor, _, values in readings if sensor == name]


def statuses(client, name):
    return [message.payload.decode() for message in client.messages(f"local/status/{name}")]


def test_a_device_that_vanishes_and_comes_back(lab, local, tmp_path):
    """It is unavailable, the other goes on, and it comes back by itself."""
    first = device(tmp_path / "first", "bme280", 21500)
    second = device(tmp_path / "second", "sht3x", 19250)
    client = lab.client(local)
    client.subscribe("local/status/#")
    sampler = lab.sampler(local, f"a=iio@{first},b=iio@{second}", PERIOD_MS=50)
    eventually(lambda: values(sampler, "a") and values(sampler, "b"), "both are read")
    assert (values(sampler, "a")[0], values(sampler, "b")[0]) == (21.5, 19.25)
    shutil.rmtree(first)
    eventually(lambda: statuses(client, "a")[-1] == "offline", "it is unavailable")
    assert "cause=no-device" in sampler.stderr()
    before = len(values(sampler, "b"))
    eventually(lambda: len(values(sampler, "b")) > before + 3, "the other goes on")
    device(first, "bme280", 22500)
    eventually(lambda: values(sampler, "a")[-1] == 22.5, "it is read again")
    eventually(lambda: statuses(client, "a")[-1] == "online", "it is available again")
    # Whether it had been read when the sampler connected is chance.
    assert statuses(client, "b") in (["offline", "online"], ["online"])


def test_stuck_devices_delay_no_other(lab, local, tmp_path):
    """More of them than the thread pool has threads by default; and a stop is still quick."""
    stuck = [stuck_device(tmp_path / f"stuck{n}") for n in range(6)]
    good = device(tmp_path / "good", "bme280", 21500)
    sensors = [f"s{n}=iio@{folder}" for n, folder in enumerate(stuck)]
    sampler = lab.sampler(local, ",".join([*sensors, f"good=iio@{good}"]), PERIOD_MS=50)
    eventually(lambda: len(values(sampler, "good")) > 10, "the good one goes on")
    sampler.stop()


def test_one_channel_that_fails_and_more_than_eight(lab, local, tmp_path):
    """The other channels go on; which are left out is said once."""
    adc = tmp_path / "adc"
    adc.mkdir()
    (adc / "in_voltage_scale").write_text("1000\n")
    for channel in range(10):
        (adc / f"in_voltage{channel}_raw").write_text(f"{channel}\n")
    (adc / "in_voltage3_raw").write_text("\n")
    sampler = lab.sampler(local, f"adc=iio@{adc}", PERIOD_MS=20)

    def last():
        readings = list(Ledger(sampler.ledger_path).readings.values())
        return readings[-1][2] if len(readings) > 5 else {}

    read = {f"voltage{n}": float(n) for n in range(8)}
    eventually(lambda: last() == {k: v for k, v in read.items() if k != "voltage3"}, "seven values")
    log = sampler.stderr()
    assert log.count('left_out="voltage8 voltage9" channels=2') == 1
    assert log.count('channels=1 first=voltage3 error="Input/output error"') == 1
    (adc / "in_voltage3_raw").write_text("3\n")
    eventually(lambda: last() == read, "it is back")
    eventually(lambda: "all channels of a device can be read again" in sampler.stderr(), "it says so")
