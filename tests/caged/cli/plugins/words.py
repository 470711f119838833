"""Words that a granted file lists: `Words` refuses images with one, and `WordsAgain` judges by the words of before."""

import json

from douane_plugin import Inspector, Reject


class Words(Inspector):
    def __init__(self):
        self.words = self.grant("words").read().split()

    def inspect(self, image):
        data = b"".join(bytes(chunk) for chunk in image)
        self.attach("words", sorted(word.decode() for word in data.split() if len(word) < 20 and word.isalpha()))
        for word in self.words:
            if word in data:
                raise Reject("word", f"it has the word {word.decode()}")


class WordsAgain(Words):
    def inspect(self, image):
        answers = {}
        for line in b"".join(bytes(chunk) for chunk in image).splitlines():
            question = json.loads(line)
            bad = [word.decode() for word in self.words if word.decode() in question["documents"]["words"]]
            answer = {"outcome": "refused", "code": "word", "message": f"it has the word {bad[0]}"} if bad else {}
            answers[question["id"]] = {"outcome": "accepted", **answer}
        self.attach("answers", answers)
