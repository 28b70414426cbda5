"""The schema, and its text for docs/schema.graphql."""

import strawberry
from graphql import GraphQLSchema
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from sorafeed_assets.serving.graphql.fast_fields import mark_fast_fields
from sorafeed_assets.serving.graphql.mutations import Mutation
from sorafeed_assets.serving.graphql.queries import Query


def build_schema() -> strawberry.Schema:
    """Build the schema."""
    return strawberry.Schema(Query, Mutation, config=StrawberryConfig(auto_camel_case=True))


def executable(schema: strawberry.Schema) -> GraphQLSchema:
    """The graphql-core schema, with its fast fields marked."""
    inner: GraphQLSchema = schema._schema  # noqa: SLF001  # strawberry has no public name for it
    mark_fast_fields(inner)
    return inner


def schema_text(schema: strawberry.Schema) -> str:
    """The schema in the schema definition language."""
    return print_schema(schema) + "\n"
