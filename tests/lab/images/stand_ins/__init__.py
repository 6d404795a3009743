"""Programs that speak the protocols of Elasticsearch's login, Logstash and Logspout, in lab images.

Standard library only: their images hold a bare interpreter.
"""
