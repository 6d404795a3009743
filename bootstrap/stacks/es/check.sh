# Whether the store answers; and that the users of Kibana and Logstash have the passwords of their secrets.
set -eu
url=http://localhost:9200
exec curl -fsS -o /dev/null "$url" # without SECURITY
secret() { cat "/run/secrets/$1-password"; }
# Passwords go through stdin: the list of processes shows words.
as() { printf 'user = "%s:%s"\n' "$1" "$(secret "$2")"; }
may() { as "$1" "$2" | curl -fsS -o /dev/null -K - "$url/_security/_authenticate" 2>/dev/null; }
put() {
    { as elastic elastic; printf 'data = "%s"\n' "$(printf '%s' "$3" | sed 's/"/\\"/g')"; } |
        curl -fsS -o /dev/null -X "$1" -H 'Content-Type: application/json' -K - "$url/_security/$2"
}
may elastic elastic
may kibana_system kibana ||
    put POST user/kibana_system/_password "{\"password\":\"$(secret kibana)\"}"
may logs_writer logstash || {
    put PUT role/logs_writer '{"cluster":["monitor","manage_index_templates"],"indices":[{"names":["logs-*"],"privileges":["auto_configure","create_index","create_doc","index"]}]}'
    put PUT user/logs_writer "{\"password\":\"$(secret logstash)\",\"roles\":[\"logs_writer\"]}"
}
