#!/bin/sh
# Makes the keys that compose.yaml and the manifests expect, in ops/keys, once. Needs Node; run it after `npm run build`.
set -eu
cd "$(dirname "$0")"
[ ! -e keys ] || { echo "ops/keys exists already: remove it to make new keys" >&2; exit 1; }
umask 077
mkdir keys
random() { node -e 'process.stdout.write(require("node:crypto").randomBytes(24).toString("base64url"))'; }
client=$(random)
admin=$(random)
view=$(random)
printf '%s' "$view" > keys/view-key
# The container of Prometheus runs as another user.
chmod 0644 keys/view-key
cat > keys/kvoyant.env <<KEYS
KVOYANT_API_KEYS=client:$client
KVOYANT_ADMIN_KEY=$admin
KVOYANT_VIEW_KEY=$view
KEYS
echo "Key of clients: $client"
echo "ops/keys has the keys of operators; keep it out of version control"
