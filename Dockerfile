# A static binary and the system's certificate authorities, nothing else: no shell, no libc, no user database.
# packaging/image.sh makes the last stage without Docker.
FROM rust:1.95.0-bookworm AS build
# What Debian bookworm has is what is tested; a pinned version would be gone from its mirrors after the next update.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates musl-tools \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY rust-toolchain.toml Cargo.toml Cargo.lock ./
RUN rustup target add "$(uname -m)-unknown-linux-musl"
COPY src src
COPY config config
# Cargo wants to see them, though nothing of them is built.
COPY benches benches
# Names of functions are a fifth of the binary, and only a panic shows them.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols
RUN target="$(uname -m)-unknown-linux-musl" \
    && cargo build --release --locked --features vendored --target "$target" \
    && install -D -m 0755 "target/$target/release/trailtag" /out/trailtag \
    && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

FROM scratch
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="trailtag" \
      org.opencontainers.image.description="Finds RemoveRoleFromInstanceProfile in CloudTrail on Kafka, scores it, says what to do, and forwards it exactly once" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/ /
# OpenSSL comes with the binary and knows no system; this is where it looks when kafka.security.tls.ca_file is empty.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 9598
STOPSIGNAL SIGTERM
ENTRYPOINT ["/trailtag"]
CMD ["run", "--config", "/etc/trailtag/trailtag.yaml"]
