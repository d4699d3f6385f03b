"""The combined log format of Apache httpd, nginx and Tomcat; further quoted fields at its end are accepted and kept."""

from orchestration.ingest.formats.access import AccessLog

FORMAT = AccessLog("combined", ("referer", "agent"), further=True)
