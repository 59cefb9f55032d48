"""Linear phone separability: the share of frames whose phone a linear classifier names rightly, the model being frozen.

    train windows -> model (eval mode) -> layer (N, D) -> LinearProbe <- phone at each frame's center
    test recordings, window by window -> the same -> accuracy = right frames / labelled frames

The protocol `paper` is that of CPC's reference code (eval/linear_separability.py), which Table 2 and Figure 5 of the ACPC paper use:
windows of 1.28 s joined over a speaker's utterances and cut elsewhere each epoch, the model's state new in each, eight an update,
one linear layer with softmax, Adam. Departures, all of them repairs: accuracies are not divided by one batch too few, each
test recording is cut from its start by itself, and a frame's label is that at its center wherever its window begins.
`converged` keeps frames, windows and accuracy and trains to the end: see `linear_probe.py`.

All layers of all subjects learn in one pass over the audio. Beside them stands what is reached without hearing: the majority class.
"""




MAJORITY = "majority class"
