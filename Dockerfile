# The server's image: one static binary, run by a user without rights. The roots
# of trust and the time zones are in the binary.
#
#   docker build --target backupd --build-arg VERSION=1.2.3 -t sitebackup/backupd .
#
# The targets prebuilt-* take the binaries from dist/ (make dist) instead of
# building them, where no Go image can be had.

FROM scratch AS prebuilt-backupd
COPY dist/backupd /backupd
USER 65532:65532
EXPOSE 3000
STOPSIGNAL SIGTERM
ENTRYPOINT ["/backupd"]
CMD ["serve"]

FROM scratch AS prebuilt-mockapi
COPY dist/mockapi /mockapi
USER 65532:65532
EXPOSE 8081
ENTRYPOINT ["/mockapi"]

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ENV CGO_ENABLED=0
ARG VERSION=
RUN go build -trimpath -ldflags="-s -w -X main.release=$VERSION" -o /dist/ ./cmd/backupd ./examples/mockapi

FROM scratch AS mockapi
COPY --from=build /dist/mockapi /mockapi
USER 65532:65532
EXPOSE 8081
ENTRYPOINT ["/mockapi"]

FROM scratch AS backupd
COPY --from=build /dist/backupd /backupd
USER 65532:65532
EXPOSE 3000
STOPSIGNAL SIGTERM
ENTRYPOINT ["/backupd"]
CMD ["serve"]
