# The gateway alone on an empty image: no shell, no package manager, no files but the binary.

# Another registry or a digest: --build-arg RUST_IMAGE=registry.example.com/rust:1.95.0-bookworm@sha256:…
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-bookworm

FROM ${RUST_IMAGE} AS build
WORKDIR /build
# Naming the target keeps the flag away from build scripts and procedural macros, which cannot be linked statically.
# glibc, not musl: since 2.34 it resolves names without loading libraries, and its allocator is the faster one.
# getrandom looks its system call up at run time by default, which a static binary cannot; it would read /dev/urandom.
ENV RUSTFLAGS="-C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\""
# Only what the binary is made of: a changed test or page builds nothing anew.
COPY Cargo.toml Cargo.lock askama.toml ./
COPY src src
# Crates and what has been compiled of them stay in caches of the builder, so that a change of ours compiles ours alone.
# A cache is no part of a layer: the binary is taken out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --target x86_64-unknown-linux-gnu --bin vestibule \
    && install -D -m 0755 target/x86_64-unknown-linux-gnu/release/vestibule /out/vestibule

FROM scratch
LABEL org.opencontainers.image.title="vestibule" \
      org.opencontainers.image.description="An authentication gateway: OAuth 2.0 and OpenID Connect logins in front of web applications that have none" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /out/vestibule /vestibule
# By number: an empty image knows no names, and Kubernetes checks runAsNonRoot by number.
USER 65532:65532
# Browsers or the ingress; probes and metrics, once listen.probe_address is opened beyond loopback.
EXPOSE 8080 9091
ENTRYPOINT ["/vestibule"]
CMD ["serve", "--config", "/etc/vestibule/vestibule.toml"]
