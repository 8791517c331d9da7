#!/usr/bin/env bash
# Runs at every boot of a machine of the database, as its startup-script: writes what
# etcd, or Patroni and WAL-G, read from the machine's metadata and from Secret Manager,
# and starts them. Running it again changes what changed, and restarts nothing that is
# as it was. The image has the programs, jq and curl, and no configuration.
set -euo pipefail

: "${METADATA_URL:=http://metadata.google.internal/computeMetadata/v1}"
: "${SECRETS_URL:=https://secretmanager.googleapis.com/v1}"
: "${ETC:=/etc}" "${DATA:=/var/lib/postgresql}"

metadata() {
  curl -fsS --retry 10 --retry-connrefused -H 'Metadata-Flavor: Google' "$METADATA_URL/$1"
}
attribute() { metadata "instance/attributes/$1"; }

# secret NAME prints the latest version, read as the machine's account.
secret() {
  curl -fsS --retry 10 --retry-connrefused -H @- \
    "$SECRETS_URL/projects/$project/secrets/$1/versions/latest:access" \
    <<<"Authorization: Bearer $token" | jq -re .payload.data | base64 -d
}

# put OWNER MODE FILE writes standard input in one step, and notes whether it is
# another file than before. What it writes is in hand by then: a pipe would end early
# where what feeds it fails.
changed=
put() {
  local part=$3.part
  mkdir -p "${3%/*}"
  install -o "$1" -m "$2" /dev/null "$part"
  cat >"$part"
  if cmp -s "$part" "$3"; then rm "$part"; else mv "$part" "$3" && changed=yes; fi
}

# keys OWNER FOLDER writes the certificates: of the authority, which clients know as
# well, and of the machines, which is one for all of them, for every name of their zones.
keys() {
  local authority certificate key
  authority=$(secret database-ca)
  certificate=$(secret citus-certificate)
  key=$(secret citus-key)
  put "$1" 0644 "$2/ca.pem" <<<"$authority"
  put "$1" 0644 "$2/machine.pem" <<<"$certificate"
  put "$1" 0600 "$2/machine.key" <<<"$key"
}

# unit NAME writes a unit of systemd.
unit() { put root 0644 "$ETC/systemd/system/$1"; }

# start UNIT starts it, or tells it that what it reads is another now.
start() {
  systemctl daemon-reload
  systemctl enable "$1"
  if [ -n "$changed" ]; then systemctl reload-or-restart "$1"; else systemctl start "$1"; fi
}

consensus() {
  local keys=$ETC/coditect/etcd config
  keys etcd "$keys"
  config=$(jq -n --arg name "$name" --arg host "$host" --arg address "$address" --arg members "$(attribute etcd-members)" --arg scope "$scope" --arg keys "$keys" '
    ({"trusted-ca-file": ($keys + "/ca.pem"), "cert-file": ($keys + "/machine.pem"), "key-file": ($keys + "/machine.key"), "client-cert-auth": true}) as $tls | {
      name: $name,
      "data-dir": "/var/lib/etcd/coditect",
      "listen-client-urls": "https://\($address):2379", "advertise-client-urls": "https://\($host):2379",
      "listen-peer-urls": "https://\($address):2380", "initial-advertise-peer-urls": "https://\($host):2380",
      "initial-cluster": $members, "initial-cluster-state": "new", "initial-cluster-token": $scope,
      "client-transport-security": $tls, "peer-transport-security": $tls,
      "enable-grpc-gateway": true, # what Patroni speaks; a file leaves it out where flags have it
      "auto-compaction-mode": "periodic", "auto-compaction-retention": "1h"
    }')
  put etcd 0640 "$ETC/coditect/etcd.yaml" <<<"$config"
  unit coditect-etcd.service <<UNIT
[Unit]
Description=etcd, which says who leads
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
User=etcd
ExecStart=etcd --config-file=$ETC/coditect/etcd.yaml
StateDirectory=etcd
Restart=always
RestartSec=2
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
UNIT
  start coditect-etcd.service
}

# disk mounts the data disk, and makes its file system where there is none.
disk() {
  local device=/dev/disk/by-id/google-data
  mkdir -p "$DATA"
  if ! mountpoint -q "$DATA"; then
    blkid "$device" >/dev/null || mkfs.ext4 -m 0 -q "$device"
    mount -o noatime "$device" "$DATA"
  fi
  chown postgres:postgres "$DATA"
}

node() {
  local keys=$ETC/coditect/database home=$DATA/.postgresql bin group connections memory superuser replication config
  group=$(attribute citus-group)
  connections=$(attribute max-connections)
  superuser=$(secret citus-superuser-password)
  replication=$(secret citus-replication-password)
  memory=$(awk '/^MemTotal:/ {print int($2 / 1024)}' /proc/meminfo)
  bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  disk
  keys postgres "$keys"
  # Where libpq looks for them: Citus cannot be told of a certificate by its settings.
  mkdir -p "$home"
  chown -R postgres:postgres "$home"
  for f in ca.pem:root.crt machine.pem:postgresql.crt machine.key:postgresql.key; do
    ln -sfn "$keys/${f%:*}" "$home/${f#*:}"
  done

  put postgres 0644 "$ETC/coditect/wal-g.env" <<ENV
WALG_GS_PREFIX=gs://$(attribute backup-bucket)/$scope/group-$group
WALG_COMPRESSION_METHOD=zstd
PGHOST=/var/run/postgresql
PGDATA=$DATA/data
ENV

  # Nodes know each other by certificate. Who comes through the pooler, and the
  # migrations, by password; people by the account of the machine they are on.
  config=$(superuser=$superuser replication=$replication jq -n --arg name "$name" --arg host "$host" --arg address "$address" --arg scope "$scope" --arg etcd "$(attribute etcd-hosts)" --argjson group "$group" \
    --argjson connections "$connections" --argjson memory "$memory" --arg bin "$bin" --arg data "$DATA" --arg keys "$keys" \
    --arg database "$(attribute database)" --arg machines "$(attribute machines-range)" '
    {sslmode: "verify-ca", sslrootcert: ($keys + "/ca.pem"), sslcert: ($keys + "/machine.pem"), sslkey: ($keys + "/machine.key")} as $tls
    | "coditect_app,coditect_system,coditect_migrator" as $roles
    | {
      scope: $scope, name: $name,
      restapi: {
        listen: "\($address):8008", connect_address: "\($host):8008",
        certfile: $tls.sslcert, keyfile: $tls.sslkey, cafile: $tls.sslrootcert, verify_client: "optional"
      },
      ctl: {certfile: $tls.sslcert, keyfile: $tls.sslkey, cacert: $tls.sslrootcert},
      etcd3: {hosts: ($etcd | split(",")), protocol: "https", cacert: $tls.sslrootcert, cert: $tls.sslcert, key: $tls.sslkey},
      citus: {group: $group, database: $database},
      bootstrap: {
        dcs: {
          ttl: 30, loop_wait: 10, retry_timeout: 10, maximum_lag_on_failover: 1048576, synchronous_mode: true,
          postgresql: {
            use_pg_rewind: true,
            parameters: {max_connections: $connections, max_prepared_transactions: (2 * $connections), max_worker_processes: 32, wal_level: "logical"}
          }
        },
        initdb: [{encoding: "UTF8"}, {locale: "C.UTF-8"}, "data-checksums"]
      },
      postgresql: {
        listen: "\($address),127.0.0.1:5432", connect_address: "\($host):5432",
        data_dir: ($data + "/data"), bin_dir: $bin, basebackup: [{checkpoint: "fast"}], pgpass: ($data + "/.pgpass-patroni"),
        authentication: {
          superuser: ({username: "postgres", password: $ENV.superuser} + $tls),
          replication: ({username: "replicator", password: $ENV.replication} + $tls)
        },
        parameters: {
          ssl: "on", ssl_ca_file: $tls.sslrootcert, ssl_cert_file: $tls.sslcert, ssl_key_file: $tls.sslkey, ssl_min_protocol_version: "TLSv1.3",
          password_encryption: "scram-sha-256", lc_messages: "C",
          unix_socket_directories: "/var/run/postgresql",
          shared_buffers: "\($memory / 4 | floor)MB", effective_cache_size: "\($memory * 3 / 4 | floor)MB",
          archive_mode: "on", archive_command: "wal-g wal-push %p", archive_timeout: "60s",
          "citus.node_conninfo": "sslmode=verify-ca sslrootcert=\($tls.sslrootcert)"
        },
        pg_hba: [
          "local all postgres peer",
          "hostssl all postgres 127.0.0.1/32 scram-sha-256",
          "hostssl all postgres \($machines) scram-sha-256 clientcert=verify-ca",
          "hostssl replication replicator \($machines) scram-sha-256 clientcert=verify-ca",
          "hostssl \($database) \($roles) \($machines) trust clientcert=verify-ca",
          "hostssl \($database) \($roles) 0.0.0.0/0 scram-sha-256"
        ]
      }
    }')
  put postgres 0600 "$ETC/coditect/patroni.yaml" <<<"$config"

  unit coditect-database.service <<UNIT
[Unit]
Description=PostgreSQL with Citus, under Patroni
After=network-online.target
Wants=network-online.target
RequiresMountsFor=$DATA

[Service]
User=postgres
Environment=HOME=$DATA
EnvironmentFile=$ETC/coditect/wal-g.env
ExecStart=patroni $ETC/coditect/patroni.yaml
ExecReload=kill -HUP \$MAINPID
RuntimeDirectory=postgresql
RuntimeDirectoryPreserve=yes
# The server outlives its keeper, which finds it again.
KillMode=process
TimeoutStopSec=120
Restart=always
RestartSec=2
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
UNIT
  start coditect-database.service

  # A whole backup each night, from whoever leads then.
  unit coditect-backup.service <<UNIT
[Unit]
Description=A whole backup, where this machine leads

[Service]
Type=oneshot
User=postgres
EnvironmentFile=$ETC/coditect/wal-g.env
ExecCondition=curl -fsS -o /dev/null --cacert $keys/ca.pem https://$host:8008/primary
ExecStart=wal-g backup-push $DATA/data
UNIT
  unit coditect-backup.timer <<UNIT
[Unit]
Description=A whole backup each night

[Timer]
OnCalendar=*-*-* 02:00:00 UTC
RandomizedDelaySec=20m
Persistent=true

[Install]
WantedBy=timers.target
UNIT
  start coditect-backup.timer
}

project=$(metadata project/project-id)
name=$(metadata instance/name)
host=$(metadata instance/hostname)
address=$(metadata instance/network-interfaces/0/ip)
scope=$(attribute scope)
token=$(metadata instance/service-accounts/default/token | jq -re .access_token)

case $(attribute role) in
consensus) consensus ;;
node) node ;;
*) echo "role is neither node nor consensus" >&2 && exit 1 ;;
esac
