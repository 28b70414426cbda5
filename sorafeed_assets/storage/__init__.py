"""What is stored and how it is asked for: tables, migrations, SQL, Redis, embedded servers."""
