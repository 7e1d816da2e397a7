# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by scripts that take packages from another suite of Debian's archive than those that
# the machine is configured for. That configuration stays as it is.

# The archive this release of Debian is installed from, and what signs it: "URI|KEYRING".
debian_archive() {
	local uri entry keyring

	# shellcheck disable=SC2016 # apt-get expands these
	IFS='|' read -r uri entry < <(apt-get indextargets --format '$(REPO_URI)|$(SOURCESENTRY)' \
		'Created-By: Packages' 'Component: main' "Release: $1") || return 1
	keyring=$(awk -v line="${entry##*:}" '
		FNR < line { next }
		/^deb / { if (match($0, /signed-by=[^] ]+/))
				print substr($0, RSTART + 10, RLENGTH - 10); exit }
		/^[[:space:]]*$/ && FNR > line { exit }
		tolower($1) == "signed-by:" { print $2; exit }' "${entry%:*}")
	[[ $keyring == /* ]] || keyring=
	printf '%s|%s\n' "$uri" "$keyring"
}

# apt_state DIR SUITE [alone]: sets APT, the options for an apt state of its own in DIR, which
# knows SUITE beside what the machine is configured for, or alone.
apt_state() {
	local uri keyring id codename

	# shellcheck source=/dev/null
	IFS=- read -r id codename < <(. /etc/os-release && echo "${ID-}-${VERSION_CODENAME-}") &&
		[[ $id == debian ]] &&
		IFS='|' read -r uri keyring < <(debian_archive "$codename") || return 1
	mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
	echo "deb ${keyring:+[signed-by=$keyring]} $uri $2 main" >"$1/list"
	APT=(-qq -o "Dir::Etc::sourcelist=$1/list" -o "Dir::State::lists=$1/lists"
		-o "Dir::Cache=$1/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root)
	if [[ ${3-} == alone ]]; then
		APT+=(-o Dir::Etc::sourceparts=-)
	elif [[ -f /etc/apt/sources.list ]]; then
		cat /etc/apt/sources.list >>"$1/list"
	fi
	apt-get "${APT[@]}" update >&2
}
