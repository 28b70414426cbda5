"""`python -m sorafeed_assets.serving.graphql`: prints the schema, for docs/schema.graphql."""

import sys

from sorafeed_assets.serving.graphql.schema import build_schema, schema_text

if __name__ == "__main__":
    sys.stdout.write(schema_text(build_schema()))
