FROM clipper_nb-python_closure:0.1.0-py3.11-0123456789ab
LABEL "ai.clipper.image.kind"="model"
USER root
RUN ["python", "-m", "clipper_nb.runtime.model_container.r_packages", "jsonlite", "randomForest"]
USER 2013265920:2013265920
COPY bundle /model
LABEL "ai.clipper.model.name"="digits" "ai.clipper.model.version"="1"
