#!/bin/sh
# Removes files from an installed environment that the API never reads: `sh deploy/slim.sh /opt/landscape`.
set -eu
cd "$1"/lib/python3*/site-packages
find . -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.c' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' \) -delete
rm -f landscape/gallery/*.safetensors # workers and `landscape up` have them
rm -rf plotly/labextension plotly/package_data/widgetbundle.js plotly/package_data/datasets
rm -rf numpy/distutils numpy/f2py/src numpy/_core/include numpy/_core/lib
find sqlalchemy h5py -name '*.so' -exec strip --strip-unneeded {} + # they come with symbols for debuggers
if [ -d botocore/data ]; then # descriptions of some four hundred services; the store uses only S3
  find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc -exec rm -rf {} +
fi
