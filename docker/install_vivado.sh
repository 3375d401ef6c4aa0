#!/usr/bin/env bash
# Installs Vivado without a screen from AMD's single-file installer.
#
# usage: install_vivado <installer .tar> <version> <folder> <edition>
set -euo pipefail

if [[ $# -ne 4 ]]; then
    echo "usage: install_vivado <installer .tar> <version> <folder> <edition>" >&2
    exit 2
fi
installer=$1 version=$2 folder=$3 edition=$4

if [[ ! -f "$installer" ]]; then
    echo "error: there is no file $installer. Download the single-file installer of Vivado $version (a .tar) from AMD, and" \
        "name its folder with --build-context installer=<folder>, its file with --build-arg INSTALLER=<file>." >&2
    exit 1
fi

unpacked=$(mktemp --directory --tmpdir vivado.XXXXXX)
trap 'rm -rf "$unpacked"' EXIT
tar --extract --file "$installer" --directory "$unpacked" --strip-components 1
if [[ ! -x "$unpacked/xsetup" ]]; then
    echo "error: $installer holds no xsetup: it is not the single-file installer. The small web installer cannot be used," \
        "because it asks for an account." >&2
    exit 1
fi

"$unpacked/xsetup" --batch Install --agree XilinxEULA,3rdPartyEULA --product Vivado --edition "$edition" \
    --location "$folder"

if [[ ! -x "$folder/Vivado/$version/bin/vivado" && ! -x "$folder/$version/Vivado/bin/vivado" ]]; then
    echo "error: after the installation there is no Vivado $version in $folder: is that the installer's version?" >&2
    exit 1
fi
