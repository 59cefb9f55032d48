"""Features that were not learnt: what any model has to beat. One file each; `foresay.load("mfcc")` finds it by its name."""
