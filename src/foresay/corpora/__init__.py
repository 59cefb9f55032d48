"""Corpora: manifests of audio, speakers and transcripts, and the plans that say which segments an update is trained on."""
