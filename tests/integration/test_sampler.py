"""The sampler against a publisher made by hand."""

import json

from harness.wait import eventually


def test_a_reading_that_is_not_taken_is_sent_again_while_others_are(lab, local):
    """A publisher leaves number 3 out and accepts all others: 3 comes again all the same."""
    publisher = lab.client(local)
    seen = []

    def answer(message):
        identity = dict(message.properties.UserProperty)
        seq = int(identity["first"])
        seen.append(seq)
        if seq != 3:
            stored = {"stored": [[identity["stream"], seq, 1]]}
            publisher.post(message.properties.ResponseTopic, json.dumps(stored))

    publisher.listen("local/reading/+", answer)
    lab.sampler(local, "bench=sim@1", PERIOD_MS=500)
    eventually(lambda: seen.count(3) >= 2, "number 3 is sent again", 30)
    assert len([seq for seq in seen if seq > 3]) > 5, "while others came and were accepted"
