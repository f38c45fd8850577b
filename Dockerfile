# The gateway alone on an empty image: no shell, no package manager, no files but the binary.

FROM rust:1.95.0-bookworm AS build
# The image has this very toolchain; the name keeps rustup from fetching the components that only development needs.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /build
COPY . .
# Naming the target keeps the flag away from build scripts and procedural macros, which cannot be linked statically.
# glibc, not musl: since 2.34 it resolves names without loading libraries, and its allocator is the faster one.
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN cargo build --release --locked --target x86_64-unknown-linux-gnu --bin vestibule

FROM scratch
COPY --from=build /build/target/x86_64-unknown-linux-gnu/release/vestibule /vestibule
# By number: an empty image knows no names, and Kubernetes checks runAsNonRoot by number.
USER 65532:65532
# Browsers or the ingress; probes and metrics, once listen.probe_address is opened beyond loopback.
EXPOSE 8080 9091
ENTRYPOINT ["/vestibule"]
CMD ["serve", "--config", "/etc/vestibule/vestibule.toml"]
