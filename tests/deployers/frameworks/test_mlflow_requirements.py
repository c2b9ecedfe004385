"""The requirements that a model's folder names."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.deployers.frameworks.mlflow_requirements import find_system_packages, read_requirements


def test_lines_become_requirements_or_are_told(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "mlflow==3.17.2\n# comment\npandas==3.1.1 # why\n-c constraints.txt\nold==1; python_version < '3'\nnumpy>=2\n"
    )
    found = read_requirements(tmp_path)
    assert found.pinned[1:] == ("numpy>=2", "pandas==3.1.1")
    assert found.pinned[0] in ("mlflow-skinny==3.17.2", "mlflow==3.17.2")
    assert list(found.unpinnable) == ["-c constraints.txt"]


def test_library_that_a_wheel_lacks_is_a_package_of_debian(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("LightGBM==4.7.0\npandas\n")
    assert find_system_packages(read_requirements(tmp_path)) == ["libgomp1"]
    (tmp_path / "requirements.txt").write_text("pandas\n")
    assert find_system_packages(read_requirements(tmp_path)) == []
