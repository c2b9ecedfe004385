"""Writes a cluster's configuration into one file, with everything that another cluster needs to serve the same."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.cluster.configuration.archive import ArchiveWriter, new_archive
from clipper_nb.cluster.configuration.manifest import (
    ExportedApplication,
    ExportedBundle,
    ExportedToken,
    ExportedVersion,
    Manifest,
)
from clipper_nb.display.progress import show_progress
from clipper_nb.errors import ConfigurationFileError, ImageNotFoundError
from clipper_nb.images.builder import ImageBuilder
from clipper_nb.protocol.descriptions import ApplicationInfo, TokenInfo, VersionInfo
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE, options_of
from clipper_nb.version import __version__

_MAX_READINGS = 10


def export_configuration(
    management: ManagementClient, builder: ImageBuilder, cluster_name: str, path: Path, *, include_environment: bool
) -> None:
    """Write the configuration of a cluster to *path*, whose folder exists; a file that is there is replaced at the end.

    Raises
    ------
    ConfigurationFileError
        The file cannot be written, or the configuration keeps changing.
    ImageNotFoundError
        The image of a version that should have replicas is gone.
    """
    applications, records = _read_steadily(management)
    with show_progress(f"Export the configuration of {cluster_name}") as progress, new_archive(path) as archive:
        versions = []
        for record in sorted(records, key=lambda record: record.registered_at):
            progress.step(f"Export {record.model_id}")
            bundle = _add_bundle(archive, builder, record)
            values = management.get_environment_variables(record.model_id) if include_environment else {}
            versions.append(_describe_version(record, bundle, values))
        archive.add_manifest(
            Manifest(
                release=__version__,
                cluster_name=cluster_name,
                applications=tuple(_describe_application(management, application) for application in applications),
                versions=tuple(versions),
            )
        )


def _read_steadily(management: ManagementClient) -> tuple[list[ApplicationInfo], list[VersionInfo]]:
    """Return applications and versions that were there at the same time."""
    before = None
    for _ in range(_MAX_READINGS):
        found = management.get_applications(), management.get_models()
        if found == before:
            return found
        before = found
    raise ConfigurationFileError("The configuration keeps changing; export it when nothing is deployed.")


def _add_bundle(archive: ArchiveWriter, builder: ImageBuilder, record: VersionInfo) -> ExportedBundle | None:
    """Add what the version's image was built from; a version without one, or with a user's own, has only a name."""
    if record.image == CONTAINERLESS_IMAGE:
        return None
    try:
        with builder.open_source(record.image) as source:
            return None if source is None else archive.add_bundle(f"models/{record.name}/{record.version}", source)
    except ImageNotFoundError:
        if record.num_replicas:
            raise
        return None  # it was registered with the name of an image, and nothing was started


def _describe_application(management: ManagementClient, application: ApplicationInfo) -> ExportedApplication:
    tokens = management.get_tokens(application.name, with_digests=True)
    return ExportedApplication(
        name=application.name,
        input_type=application.input_type,
        default_output=application.default_output,
        slo_micros=application.slo_micros,
        linked_models=() if application.traffic else tuple(application.linked_models),
        traffic={target.target: target.weight for target in application.traffic},
        policy=application.policy,
        tokens=tuple(_describe_token(application.name, token) for token in tokens),
    )


def _describe_token(application_name: str, token: TokenInfo) -> ExportedToken:
    if not isinstance(token.digest, str):
        raise ConfigurationFileError(
            f"Token '{token.name}' of '{application_name}' cannot be exported: the cluster's release of clipper_nb "
            "does not tell its digest. Export with that release, or revoke the token."
        )
    return ExportedToken(name=token.name, digest=token.digest, expires_at=token.expires_at)


def _describe_version(record: VersionInfo, bundle: ExportedBundle | None, variables: dict[str, str]) -> ExportedVersion:
    return ExportedVersion(
        name=record.name,
        version=record.version,
        input_type=record.input_type,
        is_current=record.is_current,
        num_replicas=record.num_replicas or 0,
        autoscaling=None if record.autoscaling is None else record.autoscaling.rule,
        image="" if bundle is not None else record.image,
        bundle=bundle,
        labels=tuple(record.labels),
        batch_size=record.batch_size,
        environment_variables={name: variables.get(name) for name in record.environment_variables},
        **options_of(record),
    )
