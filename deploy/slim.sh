#!/bin/sh
# Removes from an installed environment what a server never reads: `sh deploy/slim.sh /opt/landscape`.
set -eu
cd "$1"/lib/python3*/site-packages
find . -type d -name tests -prune -exec rm -rf {} +
find . -type d -name __pycache__ -prune -exec rm -rf {} +
find . -type f -name '*.pyi' -delete
rm -rf plotly/labextension plotly/package_data/widgetbundle.js plotly/package_data/datasets
if [ -d botocore/data ]; then # descriptions of some four hundred services; the store speaks to S3 alone
  find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc -exec rm -rf {} +
fi
