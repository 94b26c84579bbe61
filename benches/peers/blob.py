#!/usr/bin/env python3
"""Milliseconds of OpenCV's blobFromImage: a picture in memory becomes a tensor of 640x640, on one thread.

    blob.py CASES.json
"""

import sys

import cv2

from serve import Cases, loop, serve

cv2.setNumThreads(1)
cases = Cases(sys.argv[1])


def measure(case, seconds):
    kind = cv2.IMREAD_COLOR if case.endswith("-rgb") else cv2.IMREAD_GRAYSCALE
    pictures = [cv2.imread(file, kind) for file in cases[case]["files"]]

    def step(number):
        cv2.dnn.blobFromImage(pictures[number % len(pictures)], 1 / 255, (640, 640), swapRB=case.endswith("-rgb"))
        return 1, 0

    images, spent, _ = loop(seconds, step)
    return {"ms": spent / images * 1e3}


serve({"opencv": cv2.__version__}, measure)
