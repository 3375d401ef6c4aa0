# The image of docker/Dockerfile with Vivado on top, from the installer that you have downloaded: the single file of all
# operating systems (SFD), a .tar. The image may not be passed on; its licence is AMD's.
#
#   docker build --file docker/vivado.Dockerfile --build-context installer=/folder/of/the/tar \
#       --build-arg INSTALLER=FPGAs_AdaptiveSoCs_Unified_2024.2_1113_1001.tar --build-arg VERSION=2024.2 \
#       --tag a2q-pipeline-vivado docker
#   mkdir -p results
#   docker run --rm --volume "$PWD/results:/home/a2q/a2q-pipeline/build" a2q-pipeline-vivado make build
ARG BASE=a2q-pipeline:latest
FROM ${BASE}

ARG INSTALLER
ARG VERSION=2024.2
# "Vivado ML Standard" needs no licence; it does not know the parts of ZCU102 and RFSoC2x2, "Vivado ML Enterprise" does
ARG EDITION="Vivado ML Standard"

SHELL ["/bin/bash", "-eu", "-o", "pipefail", "-c"]
USER 0

# what Vivado's own programs link to and expect
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libncurses5 libtinfo5 libx11-6 libxext6 libxrender1 libxtst6 locales procps \
    && sed -i 's/^# en_US.UTF-8/en_US.UTF-8/' /etc/locale.gen \
    && locale-gen \
    && rm -rf /var/lib/apt/lists/*
ENV LANG=en_US.UTF-8

COPY install_vivado.sh /usr/local/bin/install_vivado
RUN --mount=type=bind,from=installer,target=/installer \
    install_vivado "/installer/${INSTALLER:?name it with --build-arg INSTALLER=<file>.tar}" "${VERSION}" /opt/xilinx "${EDITION}"

# the folder is called Vivado/2024.2 up to that version and 2025.1/Vivado from then on
ENV PATH="/opt/xilinx/Vivado/${VERSION}/bin:/opt/xilinx/${VERSION}/Vivado/bin:${PATH}"

USER 1000
CMD ["make", "help"]
