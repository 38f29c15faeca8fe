"""What is kept of a run: model versions, the champion, locks. Each write is whole or not at all."""
