#!/usr/bin/env bash
# Make guest/tests/data/rpm-files.{sqlite,Packages}.xz: databases of the real rpm with packages that have files of languages,
# as Fedora and SUSE install them, and a package of many files. It needs rpm, rpmbuild, db5.3-util and xz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../data"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# package NAME SPEC-LINES PATH...
package() {
    local name=$1 flags=$2
    shift 2
    {
        printf 'Name: %s\nVersion: 1.0\nRelease: 2\nSummary: x\nLicense: MIT\nVendor: Fedora Project\nBuildArch: noarch\n' "$name"
        printf '%%description\nx\n%%install\n'
        printf 'install -D "%s" "%%{buildroot}%s"\n' $(printf "$work/content %s\n" "$@")
        printf '%%files\n'
        printf "$flags\"%s\"\n" "$@"
    } >"$work/$name.spec"
    rpmbuild --quiet -bb --define "_topdir $work/build" "$work/$name.spec"
}

# The same for all: as JSON it is a package of Node, and Python's and Ruby's have their names from their paths.
printf '{"name": "npm", "version": "1.0.0"}' >"$work/content"
site=/usr/lib/python3.12/site-packages
package python3-jinja2 '' $site/jinja2-3.1.1.dist-info/{INSTALLER,METADATA} $site/jinja2/__init__.py /usr/share/doc/METADATA
package python3-ghost '%%ghost ' $site/ghost-1.dist-info/METADATA
package rubygem-rake '' /usr/share/gems/specifications/rake-13.0.6.gemspec
package ruby2.5-rubygem-rack '' /usr/lib64/ruby/gems/2.5.0/specifications/rack-2.0.gemspec
package npm '' /usr/lib/node_modules_22/npm/package.json /usr/lib/node_modules_22/npm/node_modules/tar/package.json
package glibc '' /usr/lib64/libc.so.6
package empty '%%ghost ' /etc/ghost
package many '' $(printf '/usr/share/many/%s\n' {a..z}{a..z})

options=(--root "$work/host" --define '_db_backend sqlite' --define '_dbpath /db')
mkdir -p "$work/host"
rpm "${options[@]}" --initdb
rpm "${options[@]}" -i --justdb --nodeps --noscripts "$work"/build/RPMS/noarch/*.rpm
database=$work/host/db/rpmdb.sqlite
# The same headers as rpm up to 4.15 keeps them: the key is the package's number in the machine's order.
{
    printf 'VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n'
    python3 - "$database" <<'PYTHON'
import sqlite3, sys
for number, blob in sqlite3.connect(sys.argv[1]).execute("SELECT hnum, blob FROM Packages"):
    print(f" {number.to_bytes(4, 'little').hex()}\n {blob.hex()}")
PYTHON
    printf 'DATA=END\n'
} | db5.3_load "$work/Packages"
xz -9ec "$database" >rpm-files.sqlite.xz
xz -9ec "$work/Packages" >rpm-files.Packages.xz
