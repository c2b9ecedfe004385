FROM python:3.11-slim-bookworm
USER root
RUN ["python", "-c", "import sys; v = sys.version_info; v[:2] == (3, 11) or sys.exit('clipper_nb.wrong_python %d.%d' % v[:2])"]
RUN ["python", "-c", "import os, shutil, sysconfig; users = open('/etc/passwd', 'a+'); users.seek(0); known = users.read(); [users.write('clipper:x:%d:%d:clipper:/tmp:/bin/sh\\n' % (n, n)) for ids in (range(2013265920, 2013266944), range(10001, 11025)) for n in ids if ':%d:%d:' % (ids[0], ids[0]) not in known]; open(os.path.join(sysconfig.get_path('purelib'), 'clipper_nb.pth'), 'w').write('/opt/clipper_nb/library\\n'); shutil.rmtree('/opt/clipper_nb/library', ignore_errors=True)"]
RUN ["python", "-c", "import compileall, re, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2, rx=re.compile('/(test|tests|idlelib|lib2to3|site-packages|dist-packages)/'))"]
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT PIP_RETRIES
RUN ["python", "-c", "import base64, json, os, runpy, sys; mark, hidden = 'clipper_nb:', os.environ.get('ftp_proxy', ''); hidden.startswith(mark) and os.environ.update(json.loads(base64.b64decode(hidden[len(mark):]))); del sys.argv[0]; runpy.run_module('pip', run_name='__main__', alter_sys=True)", "pip", "install", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--", "numpy==1.26.4", "tornado==6.4"]
COPY library /opt/clipper_nb/library
RUN ["python", "-m", "compileall", "-q", "/opt/clipper_nb/library"]
ENV HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1

ENV CLIPPER_READY_FILE=/tmp/clipper_nb_is_ready
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["test", "-e", "/tmp/clipper_nb_is_ready"]
LABEL "ai.clipper.image.kind"="a kind" "org.opencontainers.image.version"="0.1.0"
USER 2013265920:2013265920
CMD ["python", "-m", "clipper_nb.runtime.model_container"]
