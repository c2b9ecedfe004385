#!/bin/bash
# cloudpickle 3.1.3 pickles a msgspec.Struct class of `__main__` (msgspec 0.22.0) without its fields, and says nothing.
# Seen: in another process the class loads under its name, `__struct_fields__` is (), `Passenger(age=22.0)` raises
# "Unexpected keyword argument", and `msgspec.convert({"age": 22.0}, Passenger)` returns an object without `age`.
# Expected: the class with its fields, as for a dataclass, or an error when it is pickled.
# Who is hurt: functions of notebook cells that take or return Structs, on every system that sends functions with
# cloudpickle: the failure is far from its cause, and where unknown fields are ignored there is none.
# Instead: define the class in a module that both sides import, or register a reducer that makes it again with
# `msgspec.defstruct`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q cloudpickle==3.1.3 msgspec==0.22.0
cat > "$folder/pickles.py" <<'PYTHON'
import sys

import cloudpickle
import msgspec


class Passenger(msgspec.Struct):
    age: float
    name: str = "nobody"


assert msgspec.convert({"age": 22.0}, Passenger).age == 22.0
cloudpickle.dump(Passenger, open(sys.argv[1], "wb"))
PYTHON
cat > "$folder/loads.py" <<'PYTHON'
import pickle
import sys

import cloudpickle
import msgspec

Passenger = pickle.load(open(sys.argv[1], "rb"))


def outcome(call):
    try:
        return call()
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"


made = outcome(lambda: Passenger(age=22.0))
converted = msgspec.convert({"age": 22.0}, Passenger)
print(
    cloudpickle.__version__, msgspec.__version__, Passenger.__name__, Passenger.__struct_fields__, made,
    hasattr(converted, "age"), sep=" | ",
)
PYTHON
"$folder/venv/bin/python" "$folder/pickles.py" "$folder/class.pkl"
seen=$("$folder/venv/bin/python" "$folder/loads.py" "$folder/class.pkl")
echo "cloudpickle | msgspec | class | fields | made with a field | converted has the field"
echo "$seen"
expected="3.1.3 | 0.22.0 | Passenger | () | TypeError: Unexpected keyword argument 'age' | False"
[ "$seen" = "$expected" ] || { echo "The behaviour has changed." >&2; exit 1; }
