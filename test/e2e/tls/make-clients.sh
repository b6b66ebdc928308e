#!/bin/sh
# Makes the certificates of clients for the tests, in clients/, valid until about 2126. The keys of the authorities are
# thrown away, so each run makes all of them anew.
set -eu
cd "$(dirname "$0")" && mkdir -p clients && cd clients && rm -f ./*
days=36500

authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days $days -subj "/CN=$2" \
    -keyout "$1-key.pem" -out "$1.pem" 2>/dev/null
}

# NAME AUTHORITY SUBJECT ALTERNATIVE-NAMES [USE]: the names are lines of a section of openssl.cnf.
certificate() {
  printf '[ext]\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=%s\n%s\n[names]\n%s\n' \
    "${5:-clientAuth}" "${4:+subjectAltName=@names}" "$4" > ext.cnf
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$3" \
    -keyout "$1-key.pem" -out request.pem 2>/dev/null
  openssl x509 -req -in request.pem -CA "$2.pem" -CAkey "$2-key.pem" -CAcreateserial -days "${days_of:-$days}" \
    -extfile ext.cnf -extensions ext -out "$1.pem" 2>/dev/null
}

authority authority 'kvoyant test clients'
authority stranger 'a stranger'
certificate alice authority /CN=alice 'DNS.1=alice.example.org
URI.1=spiffe://example.org/alice
email.1=alice@example.org'
certificate bob authority /CN=bob ''
certificate forged stranger /CN=alice 'DNS.1=alice.example.org'
certificate server authority /CN=alice 'DNS.1=alice.example.org' serverAuth
# Names that look like others when they are put into one text.
certificate tricky authority '/CN=tricky/CN=alice' 'DNS.1=evil.example.org, DNS:alice.example.org
URI.1=spiffe://example.org/"alice"'
days_of=-1 certificate expired authority /CN=alice 'DNS.1=alice.example.org'
rm -f authority-key.pem stranger-key.pem ext.cnf request.pem ./*.srl
