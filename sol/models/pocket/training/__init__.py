"""The pocket model's training, networks apart: autoencoder, text encoder, denoiser."""
