# syntax=docker/dockerfile:1

# The bridge alone: its journal lies in the volume /data, its configuration at /etc/group-sync-bridge/bridge.yaml.
#   docker build -t group-sync-bridge .
#   docker run --read-only -p 8080:8080 -v bridge-data:/data -v ./bridge.yaml:/etc/group-sync-bridge/bridge.yaml:ro group-sync-bridge
# Nothing is written outside of /data. It ends by SIGTERM itself and starts no processes, so that no --init is needed.

# By digest it is the same image in each build: --build-arg NODE_IMAGE=node@sha256:…, as `docker buildx imagetools inspect` tells it.
ARG NODE_IMAGE=node:24.21.0-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The package `node` is for machines with an older one; this image has it already, so no install script is needed.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY connectors connectors
COPY src src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM ${NODE_IMAGE}
ENV NODE_ENV=production \
    HEALTH_URL=http://127.0.0.1:8081/healthz
COPY --from=build /app/package.json /app/package.json
COPY --from=build /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
COPY config /app/config
COPY deploy/bridge.yaml /etc/group-sync-bridge/bridge.yaml
# The user `node` of the image, as numbers: Kubernetes then sees that it is not root.
RUN install -d -o 1000 -g 1000 -m 0700 /data
VOLUME /data
WORKDIR /data
USER 1000:1000
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(process.env.HEALTH_URL).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
# On a machine with much memory V8 would keep 128 MB of garbage before it collects the young: more memory, no more speed.
ENTRYPOINT ["node", "--max-semi-space-size=8", "/app/dist/src/bin.js"]
CMD ["start", "--config", "/etc/group-sync-bridge/bridge.yaml"]
