"""The model under attack: any encoder-decoder of transformers, from the Hub or a folder."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from textadv.configs import BadInput, VictimConfig
from textadv.decoding import Decoded, greedy_search
from textadv.fingerprint import parameters_fingerprint

CHUNK_PIECES = 16_384  # source pieces decoded at once: bounds memory, and is wide enough to fill a GPU


class Victim:
    """A frozen encoder-decoder and its tokenizer.

    The model's parameters need no gradient, and its dropout is off. Shapes: B sentences, T source pieces,
    M output pieces, V output vocabulary, d embedding size.

    Raises:
        BadInput: the model is no encoder-decoder, or what its encoder sees can't be given to it as vectors.
    """

    def __init__(self, model: Any, tokenizer: Any, config: VictimConfig | None = None) -> None:
        self.config = config or VictimConfig()
        self.name = type(model).__name__
        if not getattr(model.config, "is_encoder_decoder", False):
            raise BadInput(f"{self.name} is no encoder-decoder; give a sequence-to-sequence model")
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.tokenizer.padding_side = "right"  # M2M100 counts positions from the left on the vector path
        self._forced_bos = self._set_languages()
        generation = model.generation_config
        eos = generation.eos_token_id
        self.eos_ids: list[int] = [eos] if isinstance(eos, int) else list(eos or [])
        self.start_id = int(generation.decoder_start_token_id or model.config.decoder_start_token_id or 0)
        self.pad_id = int(tokenizer.pad_token_id or 0)
        self.special_ids = self._special_ids()
        positions = getattr(model.config, "max_position_embeddings", None)
        if positions is not None and self.config.max_new_tokens >= positions:
            raise BadInput(f"--max_new_tokens must be below the {positions} positions of {self.name}'s decoder")
        self._refuse_if_embedding_is_not_what_the_encoder_sees()

    @classmethod
    def from_pretrained(cls, config: VictimConfig, *, device: torch.device | str = "cpu") -> "Victim":
        """Loads `config.model_name_or_path` (the embedded victim if None) in float32.

        Raises:
            BadInput: nothing there, no network, or no encoder-decoder.
        """
        from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

        import textadv.models  # noqa: F401  (registers them)
        from textadv.data import EMBEDDED_VICTIM

        name = config.model_name_or_path or str(EMBEDDED_VICTIM)
        try:
            model_config = AutoConfig.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{name} has no config.json that can be read; give a model's folder or Hub id"
                if Path(name).exists()
                else f"{name} is neither a folder here nor a model that the Hub gives; check the name or the network"
            ) from error
        if not model_config.is_encoder_decoder:
            raise BadInput(
                f"{name} is a {model_config.model_type} model, no encoder-decoder; give a sequence-to-sequence model"
            )
        try:
            model = AutoModelForSeq2SeqLM.from_pretrained(name, dtype=torch.float32)
            with warnings.catch_warnings():  # Marian's tokenizer recommends a package that changes its pieces
                warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
                tokenizer = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise BadInput(f"{name} can't be loaded: {str(error).splitlines()[0]}") from error
        return cls(model.to(device), tokenizer, config)

    # What the encoder sees ------------------------------------------------------------------------------

    def embed(self, ids: Tensor) -> Tensor:
        """The vectors (..., d) that the encoder makes of ids (...), before positions are added.

        Families differ in where they scale: Marian and Pegasus outside the embedding module and only on the id
        path, BART, mBART and M2M100 inside the module, T5 not at all.
        """
        encoder = self.model.get_encoder()
        embedding = encoder.get_input_embeddings()
        scale = 1.0 if hasattr(embedding, "embed_scale") else getattr(encoder, "embed_scale", 1.0)
        return embedding(ids) * scale

    def logits(self, embeds: Tensor, mask: Tensor, outputs: Tensor) -> Tensor:
        """Teacher-forced logits (B, M, V) of every output piece, from source vectors (B, T, d).

        `outputs` (B, M) hold no start piece. Where they are the model's own greedy output, position t holds the
        logits that the model had when it wrote piece t.
        """
        start = outputs.new_full((len(outputs), 1), self.start_id)
        return self.model(
            inputs_embeds=embeds,
            attention_mask=mask,
            decoder_input_ids=torch.cat([start, outputs[:, :-1]], dim=1),
            use_cache=False,
        ).logits

    # Decoding -------------------------------------------------------------------------------------------

    @torch.no_grad()
    def greedy(self, source: Tensor, mask: Tensor, observe: Callable[..., Tensor] | None = None) -> Decoded:
        """The free-running greedy output of source pieces (B, T), or of source vectors (B, T, d) as `embed` makes them.

        Rows of like length are decoded together. `observe(logits (n, V), rows (n,), t) -> (n, F)` may look at each
        step's logits; see `decoding.py`.
        """
        lengths = mask.sum(1)
        order = torch.argsort(lengths, stable=True)
        longest = max(int(lengths.max()), 1)
        rows_at_once = max(CHUNK_PIECES // longest, 1)
        parts = [self._greedy_chunk(source, mask, rows, observe) for rows in order.split(rows_at_once)]
        return Decoded.join(parts, order, pad_id=self.pad_id)

    def _greedy_chunk(self, source: Tensor, mask: Tensor, rows: Tensor, observe: Any) -> Decoded:
        width = int(mask[rows].sum(1).max())
        kind = "inputs_embeds" if source.is_floating_point() else "input_ids"
        return self.model.generate(
            **{kind: source[rows, :width]},
            attention_mask=mask[rows, :width],
            num_beams=1,
            do_sample=False,
            max_new_tokens=self.config.max_new_tokens,
            custom_generate=greedy_search,
            rows=rows,
            observe=observe,
            **self._forced_bos,
        )

    def generate(self, texts: Sequence[str]) -> list[str]:
        """The reported outputs: text in, text out, beams as configured, always in full precision."""
        return self.decode(self.generate_pieces(texts)) if texts else []

    @torch.no_grad()
    def generate_pieces(self, texts: Sequence[str]) -> Tensor:
        """Pieces (N, M) of the reported outputs, without the start piece, padded behind their end."""
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
        rows_at_once = max(CHUNK_PIECES // (64 * self.config.num_beams), 1)
        parts: list[list[int]] = [[] for _ in texts]
        with torch.autocast(self.device.type, enabled=False):
            for first in range(0, len(order), rows_at_once):
                rows = order[first : first + rows_at_once]
                ids, mask = self.encode([texts[i] for i in rows])
                written = self.model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    num_beams=self.config.num_beams,
                    do_sample=False,
                    max_new_tokens=self.config.max_new_tokens,
                    **self._forced_bos,
                )
                for i, pieces in zip(rows, written[:, 1:].tolist(), strict=True):
                    parts[i] = pieces
        width = max(map(len, parts))
        return torch.tensor([p + [self.pad_id] * (width - len(p)) for p in parts], device=self.device)

    # Text and pieces ------------------------------------------------------------------------------------

    def encode(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Source pieces (B, T), padded on the right, and their mask (B, T), prefix and special pieces included."""
        batch = self.tokenizer([self.config.source_prefix + text for text in texts], padding=True, return_tensors="pt")
        return batch["input_ids"].to(self.device), batch["attention_mask"].to(self.device)

    def decode(self, outputs: Tensor) -> list[str]:
        """Text of output pieces (B, M), special pieces left out."""
        if len(outputs) == 0:
            return []  # the library would say [""]
        # M2M100's tokenizer would write a language code out: it isn't on its list of special pieces.
        special = torch.tensor(sorted(self.special_ids), device=outputs.device)
        spoken = outputs.masked_fill(torch.isin(outputs, special), self.pad_id)
        return [text.strip() for text in self.tokenizer.batch_decode(spoken, skip_special_tokens=True)]

    @property
    def device(self) -> torch.device:
        return self.model.device

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """How many source pieces each text has, prefix and special ones included."""
        prefixed = [self.config.source_prefix + text for text in texts]
        return [len(ids) for ids in self.tokenizer(prefixed)["input_ids"]] if texts else []

    @property
    def longest_source(self) -> int:
        """Most source pieces that the model takes, special ones included."""
        limits = [getattr(self.model.config, name, None) for name in ("max_position_embeddings", "n_positions")] + [
            self.tokenizer.model_max_length
        ]
        return min(limit for limit in limits if limit)

    def to(self, device: torch.device | str) -> None:
        """Moves the model."""
        self.model.to(device)

    def fingerprint(self) -> str:
        """SHA-256 of the parameters."""
        return parameters_fingerprint(self.model)

    # At construction ------------------------------------------------------------------------------------

    def _set_languages(self) -> dict[str, int]:
        """Sets the tokenizer's languages, and returns the forced first output piece of a multilingual model."""
        found = {}
        for side, code in (("src_lang", self.config.source_lang), ("tgt_lang", self.config.target_lang)):
            if code is None:
                continue
            if not hasattr(self.tokenizer, side):
                raise BadInput(f"{self.name} has one language pair; leave out --source_lang and --target_lang")
            found[side] = self._language_id(code)
            setattr(self.tokenizer, side, code)
        return {"forced_bos_token_id": found["tgt_lang"]} if "tgt_lang" in found else {}

    def _language_id(self, code: str) -> int:
        tokenizer = self.tokenizer
        try:
            if hasattr(tokenizer, "get_lang_id"):
                return tokenizer.get_lang_id(code)
            if (found := tokenizer.convert_tokens_to_ids(code)) not in (None, tokenizer.unk_token_id):
                return found
        except KeyError:
            pass
        raise BadInput(f"{code} is no language of {self.name}'s tokenizer; give a code of its model card")

    def _special_ids(self) -> frozenset[int]:
        """Pieces that stand for no text: ends, padding, language codes, sentinels; not the unknown piece."""
        tokenizer = self.tokenizer
        added = {i for i, piece in tokenizer.added_tokens_decoder.items() if piece.special}
        around = {*tokenizer("")["input_ids"], *tokenizer(text_target="")["input_ids"]}
        return frozenset((added | around | set(tokenizer.all_special_ids)) - {tokenizer.unk_token_id})

    @torch.no_grad()
    def _refuse_if_embedding_is_not_what_the_encoder_sees(self) -> None:
        mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]], device=self.device)
        encoder = self.model.get_encoder()
        try:
            rows = torch.arange(encoder.get_input_embeddings().num_embeddings, device=self.device)
            rows = rows[rows != self.model.config.pad_token_id]  # its place in the sentence isn't counted
            ids = rows[torch.arange(8, device=self.device) % len(rows)].reshape(2, 4)
            seen = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            given = encoder(inputs_embeds=self.embed(ids), attention_mask=mask).last_hidden_state
            difference = ((seen - given) * mask[..., None]).abs().max()
        except (TypeError, AttributeError, NotImplementedError) as error:
            raise BadInput(f"{self.name} can't be attacked: its encoder takes no vectors ({error})") from error
        if difference > 1e-5:
            raise BadInput(
                f"{self.name} can't be attacked: its encoder sees other vectors than its embedding gives "
                f"(they differ by {difference:.1g}); use Marian, Pegasus, BART, mBART, M2M100, T5 or a relative"
            )
