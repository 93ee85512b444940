"""Text over HTTP is what a writer writes from the beginning of a text, in the form that clients of OpenAI expect."""

import io
import json

import pytest
from serving import client_of

from gatewise.decoding.ctc import log_softmax
from gatewise.decoding.sampling import Sampler
from gatewise.tasks import Generator, Writer


@pytest.fixture(scope="module")
def client(model_file):
    with client_of([model_file]) as client:
        yield client


def beginning(model_file):
    """A writer at the beginning of a text, as `gatewise sample` has it."""
    return Writer.load(model_file)


def ask(client, **body):
    answer = client.post("/v1/completions", json={"model": "rhyme", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def events(client, path, body):
    with client.stream("POST", path, json={"model": "rhyme", "stream": True, **body}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    return lines


@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 0.7, "seed": 5}, {"seed": 2, "top_p": 0.8}])
def test_it_is_what_a_writer_writes(client, model_file, options):
    found = ask(client, prompt="Peter ", max_tokens=60, **options)
    writer = beginning(model_file)
    wanted = "".join(writer.write("Peter ", 60, Sampler(**options, forbidden=writer.forbidden)))
    [choice] = found["choices"]
    assert (choice["text"], choice["finish_reason"], choice["logprobs"]) == (wanted, "length", None)
    assert found["usage"] == {"prompt_tokens": 6, "completion_tokens": 60, "total_tokens": 66}
    assert found["object"] == "text_completion"
    assert found["model"] == "rhyme"


def test_n_grams_complete_texts_too(rhyme, tmp_path):
    path = tmp_path / "rhyme.gatewise"
    Generator(only="plain").fit(io.StringIO(rhyme)).save(path)
    writer = beginning(path)
    wanted = "".join(writer.write("Peter ", 40, Sampler(temperature=0.7, seed=5, forbidden=writer.forbidden)))
    with client_of([path]) as client:
        found = ask(client, prompt="Peter ", max_tokens=40, temperature=0.7, seed=5)
    assert found["choices"][0]["text"] == wanted


def test_an_empty_prompt_begins_a_text(client, model_file):
    writer = beginning(model_file)
    wanted = "".join(writer.write("", 20, Sampler(temperature=0)))
    assert ask(client, max_tokens=20, temperature=0)["choices"][0]["text"] == wanted


@pytest.mark.parametrize("stop", ["peppers", ["where", "peppers"], ["peppers", "where"], "pe"])
def test_it_ends_before_the_first_stop_text(client, stop):
    whole = ask(client, prompt="Peter ", max_tokens=300, temperature=0)["choices"][0]["text"]
    stops = [stop] if isinstance(stop, str) else stop
    at = min(whole.find(one) for one in stops if one in whole)
    found = ask(client, prompt="Peter ", max_tokens=300, temperature=0, stop=stop)["choices"][0]
    assert (found["text"], found["finish_reason"]) == (whole[:at], "stop")
    streamed = [json.loads(e) for e in events(client, "/v1/completions", body_of_stop(stop))[:-1]]
    assert "".join(e["choices"][0]["text"] for e in streamed) == whole[:at]
    assert [e["choices"][0]["finish_reason"] for e in streamed][-1] == "stop"


def body_of_stop(stop):
    return {"prompt": "Peter ", "max_tokens": 300, "temperature": 0, "stop": stop}


def test_probabilities_are_those_of_the_model(client, model_file):
    found = ask(client, prompt="Peter", max_tokens=4, temperature=0, logprobs=3)["choices"][0]
    writer = beginning(model_file)
    writer.push("Peter")
    vocabulary, told = writer.vocabulary, found["logprobs"]
    for place, character in enumerate(found["text"]):
        log_p = log_softmax(writer.state.scores)
        assert told["tokens"][place] == character
        assert told["token_logprobs"][place] == pytest.approx(log_p[vocabulary.encode(character)[0]], abs=1e-12)
        top = told["top_logprobs"][place]
        assert list(top.values()) == pytest.approx(sorted(log_p, reverse=True)[:3], abs=1e-12)
        writer.push(character)
    assert told["text_offset"] == [0, 1, 2, 3]


def test_several_prompts_and_choices(client):
    found = ask(client, prompt=["Peter ", "A peck"], n=3, max_tokens=12, seed=1)["choices"]
    assert [choice["index"] for choice in found] == list(range(6))
    assert found[0]["text"] == ask(client, prompt="Peter ", max_tokens=12, seed=1)["choices"][0]["text"]
    assert found[3]["text"] == ask(client, prompt="A peck", max_tokens=12, seed=1)["choices"][0]["text"]
    streamed = ["", "", "", "", "", ""]
    lines = events(client, "/v1/completions", {"prompt": ["Peter ", "A peck"], "n": 3, "max_tokens": 12, "seed": 1})
    for line in lines[:-1]:
        [choice] = json.loads(line)["choices"]
        streamed[choice["index"]] += choice["text"]
    assert streamed == [choice["text"] for choice in found]
    assert len(client.hall.models.find("rhyme").sessions) == 0


def test_a_stream_ends_with_done_and_with_usage_if_that_is_wanted(client):
    body = {"prompt": "A", "max_tokens": 5, "echo": True, "seed": 1, "stream_options": {"include_usage": True}}
    *found, usage, done = events(client, "/v1/completions", body)
    assert done == "[DONE]"
    assert json.loads(usage)["usage"]["total_tokens"] == 6
    text = "".join(json.loads(line)["choices"][0]["text"] for line in found)
    assert text[0] == "A"
    assert len(text) == 6


def test_a_response_goes_on_from_the_one_before(client, model_file):
    writer = beginning(model_file)
    first = "".join(writer.write("Peter ", 15, Sampler(temperature=0)))
    second = "".join(writer.write(" peck ", 15, Sampler(temperature=0)))
    common = {"model": "rhyme", "max_output_tokens": 15, "temperature": 0}
    one = client.post("/v1/responses", json={**common, "input": "Peter "}).json()
    two = client.post("/v1/responses", json={**common, "input": " peck ", "previous_response_id": one["id"]}).json()
    again = client.post("/v1/responses", json={**common, "input": " peck ", "previous_response_id": one["id"]}).json()
    texts = [answer["output"][0]["content"][0]["text"] for answer in (one, two, again)]
    assert texts == [first, second, second]
    assert one["status"] == "incomplete"
    assert one["incomplete_details"] == {"reason": "max_output_tokens"}
    gone = client.delete(f"/v1/responses/{one['id']}").json()
    assert gone["deleted"] is True
    after = client.post("/v1/responses", json={**common, "previous_response_id": one["id"]})
    assert after.status_code == 404
    assert "expired, was not stored" in after.json()["error"]["message"]


def test_one_that_is_not_stored_is_forgotten(client):
    body = {"model": "rhyme", "input": "A", "max_output_tokens": 2}
    before = len(client.hall.responses)
    id = client.post("/v1/responses", json={**body, "store": False}).json()["id"]
    assert len(client.hall.responses) == before
    assert client.delete(f"/v1/responses/{id}").status_code == 404


def test_messages_are_read_one_after_the_other(client):
    body = {"model": "rhyme", "max_output_tokens": 9, "temperature": 0, "store": False}
    messages = [
        {"role": "user", "content": "Pe"},
        {"role": "user", "content": [{"type": "input_text", "text": "ter"}, {"type": "input_text", "text": " "}]},
    ]
    found = [client.post("/v1/responses", json={**body, "input": given}).json() for given in (messages, "Peter ")]
    assert found[0]["output"][0]["content"] == found[1]["output"][0]["content"]


def test_the_oldest_responses_are_forgotten(model_file):
    with client_of([model_file], responses=2) as client:
        body = {"model": "rhyme", "input": "A", "max_output_tokens": 1}
        ids = [client.post("/v1/responses", json=body).json()["id"] for _ in range(3)]
        found = [client.delete(f"/v1/responses/{id}").status_code for id in ids]
        assert found == [404, 200, 200]
