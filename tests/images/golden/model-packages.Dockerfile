FROM clipper_nb-python_closure:0.1.0-py3.11-0123456789ab
LABEL "ai.clipper.image.kind"="model"
USER root
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT PIP_RETRIES
RUN ["python", "-c", "import base64, json, os, runpy, sys; mark, hidden = 'clipper_nb:', os.environ.get('ftp_proxy', ''); hidden.startswith(mark) and os.environ.update(json.loads(base64.b64decode(hidden[len(mark):]))); del sys.argv[0]; runpy.run_module('pip', run_name='__main__', alter_sys=True)", "pip", "install", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--", "pandas[excel]==2.2", "scipy>=1.10; python_version<'4'"]
USER 2013265920:2013265920
COPY bundle /model
LABEL "ai.clipper.model.name"="digits" "ai.clipper.model.version"="1"
