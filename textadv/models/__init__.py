"""Models that transformers doesn't have. Importing this package registers them with its Auto classes."""

from transformers import AutoConfig, AutoModelForSeq2SeqLM

from textadv.models.lstm_seq2seq import LstmSeq2SeqConfig, LstmSeq2SeqForConditionalGeneration

__all__ = ["LstmSeq2SeqConfig", "LstmSeq2SeqForConditionalGeneration"]

AutoConfig.register(LstmSeq2SeqConfig.model_type, LstmSeq2SeqConfig, exist_ok=True)
AutoModelForSeq2SeqLM.register(LstmSeq2SeqConfig, LstmSeq2SeqForConditionalGeneration, exist_ok=True)
