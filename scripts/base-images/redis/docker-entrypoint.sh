#!/bin/sh
# Does what upstream's entry point does, with what Debian has.
set -e

case ${1:-} in
    -* | *.conf) set -- redis-server "$@" ;;
esac

# Upstream compiles protected mode off, since only published ports are reached from outside. Whoever sets it has it so.
protected_mode_is_set() {
    case " $* " in *" --protected-mode "*) return 0 ;; esac
    [ -f "$2" ] && grep -q '^[[:space:]]*protected-mode[[:space:]]' "$2"
}

if [ "$1" = redis-server ]; then
    if [ "$(id -u)" = 0 ]; then
        # A volume or a folder of the host may belong to anybody.
        find . ! -user redis -exec chown redis '{}' +
        exec setpriv --reuid redis --regid redis --clear-groups "$0" "$@"
    fi
    case ${2:-} in
        -v | --version | -h | --help | --test-memory | --check-system) ;;
        *) protected_mode_is_set "$@" || set -- "$@" --protected-mode no ;;
    esac
fi

# Upstream's: data and logs are nobody else's, unless the image's user chose otherwise.
if [ "$(umask)" = 0022 ]; then umask 0077; fi
exec "$@"
