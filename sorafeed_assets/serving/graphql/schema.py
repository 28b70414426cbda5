"""The schema, and its text as it is kept in the repository."""

import strawberry
from graphql import GraphQLSchema
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from sorafeed_assets.serving.graphql.fast_fields import mark_fast_fields
from sorafeed_assets.serving.graphql.mutations import Mutation
from sorafeed_assets.serving.graphql.queries import Query


def build_schema() -> strawberry.Schema:
    """The schema of the API."""
    return strawberry.Schema(Query, Mutation, config=StrawberryConfig(auto_camel_case=True))


def executable(schema: strawberry.Schema) -> GraphQLSchema:
    """What graphql-core validates and executes against."""
    inner: GraphQLSchema = schema._schema  # noqa: SLF001  # strawberry has no public name for it
    mark_fast_fields(inner)
    return inner


def schema_text(schema: strawberry.Schema) -> str:
    """The schema in the schema language."""
    return print_schema(schema) + "\n"
